"""The errors Pairwright raises. Every message is shown to a person, who should know what to do next.

PairwrightError
├── SettingsError        a setting has a value that cannot be used
├── InputError           an argument of a tool is wrong
├── NotInLibraryError    no artifact of that name (the message lists what there is)
├── DataError            a file, folder or dataset cannot be read or is not what it says
├── ModelError           a model cannot be loaded, or does not fit the task
├── StoreError           a collection of embeddings is empty, damaged or made by another encoder
├── JobError             a job cannot be started, or ended without a result
├── RemoteError          a service on the network refused, failed or could not be reached
├── MissingPackageError  an optional package is needed (the message gives the install line)
└── StoppedError         the person pressed Stop
"""


class PairwrightError(Exception):
    """Base of all errors whose message is written for a person."""


class SettingsError(PairwrightError):
    """A setting has a value that cannot be used."""


class InputError(PairwrightError):
    """An argument of a tool is wrong."""


class NotInLibraryError(PairwrightError):
    """The library holds no artifact of that name."""


class DataError(PairwrightError):
    """A file, folder or dataset cannot be read or is not what it says."""


class ModelError(PairwrightError):
    """A model cannot be loaded, or does not fit the task."""


class StoreError(PairwrightError):
    """A collection of embeddings is empty, damaged or made by another encoder."""


class JobError(PairwrightError):
    """A job cannot be started, or ended without a result."""


class RemoteError(PairwrightError):
    """A service on the network refused, failed or could not be reached."""


class MissingPackageError(PairwrightError):
    """An optional package is needed and absent."""


class StoppedError(PairwrightError):
    """The person asked to stop; what was finished before is kept."""


def first_line(error: Exception) -> str:
    """Return the first line of another library's message, for use inside one of ours."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
