"""Where conversations are kept: one SQLite file under the home folder."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

from langgraph.checkpoint.sqlite import SqliteSaver


class Conversations:
    """LangGraph's states of all conversations; the file is opened when it is first needed."""

    def __init__(self, home: Path) -> None:
        """Keep them under `home`."""
        self._home = home
        self._saver: SqliteSaver | None = None
        self._opening = threading.Lock()

    def saver(self) -> SqliteSaver:
        """Return what LangGraph writes to."""
        with self._opening:
            if self._saver is None:
                self._home.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._home / "conversations.sqlite", check_same_thread=False, timeout=30)
                connection.execute("PRAGMA journal_mode=WAL")
                self._saver = SqliteSaver(connection)
            return self._saver

    def forget_old_states(self, thread: str) -> None:
        """Keep only the newest state of a conversation: each holds the whole history, so all grow as its square."""
        saver = self.saver()
        with saver.lock:
            for table in ("checkpoints", "writes"):
                saver.conn.execute(
                    f"DELETE FROM {table} WHERE thread_id = ? AND checkpoint_id < "
                    "(SELECT max(checkpoint_id) FROM checkpoints WHERE thread_id = ?)",
                    (thread, thread),
                )
            saver.conn.commit()
