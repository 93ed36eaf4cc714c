"""Publishing on the Hugging Face hub: what leaves the machine, its README, and the talk with the hub."""
