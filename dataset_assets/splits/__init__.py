"""Who goes to train, validation or test, and the archives of each. No scheduling, no network: a source of samples in, files of a store out."""
