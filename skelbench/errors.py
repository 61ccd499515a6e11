"""The three errors a user can meet. Each message says what was given, what was wanted, and what to do."""


class SkelbenchError(Exception):
    """Base of every error skelbench raises on purpose."""


class DataError(SkelbenchError, ValueError):
    """Something about the data is wrong; the message names the file and line, or the clip."""


class ConfigError(SkelbenchError, ValueError):
    """A setting is unknown, ambiguous or out of range; the message names it and lists what is allowed."""


class RunError(SkelbenchError, RuntimeError):
    """A run folder or checkpoint is missing, damaged or belongs to another method or skeleton."""
