"""A channel's videos and their thumbnails, by the YouTube Data API v3."""
