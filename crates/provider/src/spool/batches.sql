CREATE TABLE IF NOT EXISTS batches (
    root BLOB PRIMARY KEY, leaves INTEGER NOT NULL, made INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batch_leaves (
    root BLOB NOT NULL, leaf INTEGER NOT NULL, lease INTEGER NOT NULL, replica INTEGER NOT NULL,
    key BLOB NOT NULL, sequence INTEGER NOT NULL, hash BLOB NOT NULL, record BLOB NOT NULL,
    signature BLOB NOT NULL, PRIMARY KEY (root, leaf)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batch_leaves_by_agent ON batch_leaves (lease, replica, key, sequence);
