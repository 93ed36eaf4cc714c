"""What the recipes share: the loop, frozen features, which weights change, the card of the result."""
