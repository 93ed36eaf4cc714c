"""Jobs: work in the background that survives the app; the worker's side and the watcher's side."""
