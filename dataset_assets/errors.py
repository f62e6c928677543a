"""The error tree of the package. Everything raised on purpose is below `DatasetAssetsError`.

    DatasetAssetsError
    ├── ConfigurationError         a wrong option or environment: fix it and start again
    │   ├── UnknownName            a name that no file in a plug-in folder has
    │   ├── MissingDependency      an optional package is needed; the message names the extra
    │   ├── ClassDictionaryError   a class dictionary that lacks a key, or says what can not be
    │   ├── LoaderStateMismatch    the saved state of a loader belongs to other data or another batch size
    │   └── NotRedistributable     data that its license forbids to publish
    ├── SourceError                an input that can not be read as asked
    │   ├── EmptyList              a url list without rows
    │   ├── MissingColumn          a named column is not in the list
    │   ├── UnreadableList         a list that is not what its format says
    │   ├── ListChanged            a list that was planned before and now reads differently
    │   ├── UnreadableSource       a folder of recordings or files that is not laid out as asked
    │   ├── ArchiveCorrupt         a published archive that differs from its checksums, or is none
    │   ├── LoginRefused           a site does not take the user name and password
    │   └── TooManyBadSamples      a loader met more bad samples than it may skip
    ├── StorageError               a store that does not do what was asked
    │   ├── ObjectMissing
    │   ├── BucketMissing          buckets are never made by accident
    │   ├── CredentialsRefused     missing, wrong or expired ones, or they may not do this
    │   ├── NotWritable            found before the first request is made
    │   ├── DiskFull
    │   └── HubError               a Hub that can not be reached, or answers otherwise than expected
    │       └── AccessDenied       it does not take the token, or the token may not do this
    └── ShardError                 a shard that can not be trusted
        ├── ShardIncomplete        rows or files are missing
        ├── ShardCorrupt           bytes differ from the record
        └── PlanMismatch           the output holds shards of another list or other options

A bad sample is data (a row with a `Cause`), a bad shard is retried, a bad configuration is an exception before work starts.
Every message says what was expected, what came, and what to do.
"""


class DatasetAssetsError(Exception):
    """Root of all errors that this package raises on purpose."""


class ConfigurationError(DatasetAssetsError, ValueError):
    """An option has a value that can not work."""


class UnknownName(ConfigurationError):
    """A plug-in name (format, store, distributor) that does not exist."""


class MissingDependency(ConfigurationError):
    """An optional package is not installed."""


class ClassDictionaryError(ConfigurationError):
    """A class dictionary lacks a key, or says what can not be."""


class LoaderStateMismatch(ConfigurationError):
    """The saved state of a loader belongs to other data or another batch size."""


class NotRedistributable(ConfigurationError):
    """The license of the data forbids what was asked."""


class SourceError(DatasetAssetsError):
    """An input can not be read as asked."""


class EmptyList(SourceError, ValueError):
    """A url list, or a folder of them, has no rows or no files."""


class MissingColumn(SourceError, ValueError):
    """A column named in the options is not in the list."""


class UnreadableList(SourceError, ValueError):
    """A url list is not what its format says."""


class ListChanged(SourceError):
    """A url list that was planned earlier now has other content."""


class UnreadableSource(SourceError, ValueError):
    """A folder of recordings or files is not laid out as asked, or has names that no archive can hold."""


class ArchiveCorrupt(SourceError, ValueError):
    """A published archive differs from its checksums, is cut, or is not what it should be."""


class LoginRefused(SourceError):
    """A site does not take the user name and password."""


class TooManyBadSamples(SourceError):
    """A loader met more bad samples than its policy allows."""


class StorageError(DatasetAssetsError):
    """A store does not do what was asked."""


class ObjectMissing(StorageError):
    """An object that should exist does not."""


class BucketMissing(StorageError):
    """There is no such bucket."""


class CredentialsRefused(StorageError):
    """Credentials are missing, wrong, expired, or not enough for what was asked."""


class NotWritable(StorageError):
    """The store refuses writes."""


class DiskFull(StorageError):
    """No space is left where the bytes should go."""


class HubError(StorageError):
    """A Hub can not be reached, or answers otherwise than expected."""


class AccessDenied(HubError):
    """A Hub does not take the token, or the token may not do what was asked."""


class ShardError(DatasetAssetsError):
    """A shard can not be trusted."""


class ShardIncomplete(ShardError):
    """Rows or files of a shard are missing."""


class ShardCorrupt(ShardError):
    """Bytes of a shard differ from its record."""


class PlanMismatch(ShardError):
    """The output holds shards of another list, or made with other options."""
