"""The error tree of the package: everything raised on purpose is below `DatasetAssetsError`.

    DatasetAssetsError
    ├── ConfigurationError         a wrong option or environment: correct it and start again
    │   ├── UnknownName            no plug-in has this name
    │   ├── MissingDependency      needs an optional package; the message names the extra
    │   ├── ClassDictionaryError   a class dictionary lacks a key or has an invalid value
    │   ├── LoaderStateMismatch    a saved state of other data or another batch size
    │   ├── WeightsMissing         a model is neither on this machine nor can it be downloaded
    │   ├── UnusableWeights        files of a model that are damaged, unsafe, or of another model
    │   └── NotRedistributable     the license of the data forbids publishing it
    ├── SourceError                an input that cannot be read as asked
    │   ├── EmptyList              a URL list without rows
    │   ├── MissingColumn          the list lacks a column that the options name
    │   ├── UnreadableList         a list that is not of its format
    │   ├── ListChanged            a list that differs from what was planned
    │   ├── UnreadableSource       a folder of recordings or files with another layout
    │   ├── ArchiveCorrupt         a published archive that differs from its checksums
    │   ├── LoginRefused           a site rejects the user name and password
    │   └── TooManyBadSamples      a loader met more bad samples than it may skip
    ├── StorageError               a store fails
    │   ├── ObjectMissing
    │   ├── BucketMissing          buckets are never created implicitly
    │   ├── CredentialsRefused     missing, wrong or expired, or without the permission
    │   ├── NotWritable            found before the first request
    │   ├── DiskFull
    │   └── HubError               a Hub that is unreachable or answers unexpectedly
    │       └── AccessDenied       it rejects the token, or the token lacks the permission
    └── ShardError                 a shard that cannot be trusted
        ├── ShardIncomplete        rows or files are missing
        ├── ShardCorrupt           bytes differ from the record
        └── PlanMismatch           the output has shards of another list or other options

A bad sample is data (a row with a `Cause`), a bad shard is retried, and a bad configuration raises
before work starts. Every message says what was expected, what it got, and what to do.
"""


class DatasetAssetsError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigurationError(DatasetAssetsError, ValueError):
    """An option has a value that is not valid."""


class UnknownName(ConfigurationError):
    """No plug-in (format, store, distributor, ...) has this name."""


class MissingDependency(ConfigurationError):
    """An optional package is not installed."""


class ClassDictionaryError(ConfigurationError):
    """A class dictionary lacks a key or has an invalid value."""


class LoaderStateMismatch(ConfigurationError):
    """The saved state of a loader belongs to other data or another batch size."""


class WeightsMissing(ConfigurationError):
    """The weights of a model are not on this machine and cannot be downloaded."""


class UnusableWeights(ConfigurationError):
    """The files of a model are damaged, unsafe to load, or those of another model."""


class NotRedistributable(ConfigurationError):
    """The license of the data forbids redistribution."""


class SourceError(DatasetAssetsError):
    """An input cannot be read as asked."""


class EmptyList(SourceError, ValueError):
    """A URL list has no rows, or a folder no lists."""


class MissingColumn(SourceError, ValueError):
    """The list lacks a column that the options name."""


class UnreadableList(SourceError, ValueError):
    """A URL list is not of its format."""


class ListChanged(SourceError):
    """The content of a URL list differs from what was planned."""


class UnreadableSource(SourceError, ValueError):
    """A folder of recordings or files has another layout, or names that no archive can hold."""


class ArchiveCorrupt(SourceError, ValueError):
    """A published archive is truncated, differs from its checksums, or is another file."""


class LoginRefused(SourceError):
    """A site rejects the user name and password."""


class TooManyBadSamples(SourceError):
    """A loader met more bad samples than its policy allows."""


class StorageError(DatasetAssetsError):
    """A store fails."""


class ObjectMissing(StorageError):
    """An object does not exist."""


class BucketMissing(StorageError):
    """A bucket does not exist."""


class CredentialsRefused(StorageError):
    """Credentials are missing, wrong or expired, or lack the permission."""


class NotWritable(StorageError):
    """A store refuses writes."""


class DiskFull(StorageError):
    """No space is left for the bytes."""


class HubError(StorageError):
    """A Hub is unreachable or answers unexpectedly."""


class AccessDenied(HubError):
    """A Hub rejects the token, or the token lacks the permission."""


class ShardError(DatasetAssetsError):
    """A shard cannot be trusted."""


class ShardIncomplete(ShardError):
    """Rows or files of a shard are missing."""


class ShardCorrupt(ShardError):
    """Bytes of a shard differ from its record."""


class SetInUse(ShardError):
    """Another run is at work in the folder."""


class LeaseLost(ShardError):
    """Another run has taken the folder over."""


class ForeignFiles(ShardError):
    """Files that this package has not made have names that a run would write."""


class PlanMismatch(ShardError):
    """The output has shards of another list, or of other options."""
