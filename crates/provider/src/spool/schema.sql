PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS pods (
    pod TEXT PRIMARY KEY, lease INTEGER NOT NULL, manifest BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS pods_by_lease ON pods (lease);
CREATE TABLE IF NOT EXISTS records (
    lease INTEGER NOT NULL, replica INTEGER NOT NULL, key BLOB NOT NULL,
    sequence INTEGER NOT NULL, until INTEGER NOT NULL, record BLOB NOT NULL,
    signature BLOB NOT NULL, PRIMARY KEY (lease, replica, key, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY AUTOINCREMENT, lease INTEGER NOT NULL, time INTEGER NOT NULL,
    kind TEXT NOT NULL, pod TEXT, message TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS events_by_lease ON events (lease, id);
CREATE TABLE IF NOT EXISTS quotes (
    nonce BLOB PRIMARY KEY, publisher BLOB NOT NULL, manifest BLOB NOT NULL,
    replicas INTEGER NOT NULL, expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS uploads (
    lease INTEGER NOT NULL, manifest BLOB NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (lease, manifest)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tcp_ports (
    lease INTEGER NOT NULL, container TEXT NOT NULL, inner INTEGER NOT NULL,
    outer INTEGER NOT NULL UNIQUE, PRIMARY KEY (lease, container, inner)
) STRICT, WITHOUT ROWID;
-- How runs of tasks have ended, with the last record of each, until the chain has them.
CREATE TABLE IF NOT EXISTS results (
    lease INTEGER NOT NULL,
    replica INTEGER NOT NULL,
    key BLOB NOT NULL,
    record BLOB NOT NULL,
    record_signature BLOB NOT NULL,
    result BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (lease, replica, key)
) STRICT;
