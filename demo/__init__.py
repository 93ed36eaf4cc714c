"""The Gradio app: a chat, a search page and the library."""
