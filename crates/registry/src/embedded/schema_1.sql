-- 'revision': the latest. 'openings': how often the file was opened to be written.
CREATE TABLE numbers (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO numbers (name, value) VALUES ('revision', 0), ('openings', 0);

-- A lease here is one of the opening that wrote it; rows with one are deleted by the next opening.
CREATE TABLE entries (
    key TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL,
    modified INTEGER NOT NULL,
    lease INTEGER
) STRICT, WITHOUT ROWID;
