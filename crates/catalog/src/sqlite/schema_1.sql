-- Numbers that only grow; never reset, also when what they numbered is gone.
CREATE TABLE sequences (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO sequences (name, value) VALUES ('incarnation', 0);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    display_name TEXT NOT NULL,
    created_at_unix_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A name is any bytes: BLOB, compared byte by byte.
CREATE TABLE namespaces (
    name BLOB NOT NULL PRIMARY KEY,
    incarnation INTEGER NOT NULL UNIQUE,
    created_at_unix_ms INTEGER NOT NULL,
    UNIQUE (name, incarnation)
) STRICT, WITHOUT ROWID;

-- The incarnation stands here too: a right in one life of a name is no right in the next.
-- Rights: 1 reader, 2 writer, 3 owner.
CREATE TABLE memberships (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    namespace BLOB NOT NULL,
    incarnation INTEGER NOT NULL,
    access INTEGER NOT NULL CHECK (access IN (1, 2, 3)),
    PRIMARY KEY (user_id, namespace),
    FOREIGN KEY (namespace, incarnation) REFERENCES namespaces (name, incarnation) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX memberships_by_namespace ON memberships (namespace, user_id);

-- logged = 1 once the deletion is durable in the mutation log.
CREATE TABLE deleted_namespaces (
    incarnation INTEGER NOT NULL PRIMARY KEY,
    name BLOB NOT NULL,
    deleted_at_unix_ms INTEGER NOT NULL,
    logged INTEGER NOT NULL DEFAULT 0 CHECK (logged IN (0, 1))
) STRICT;

CREATE INDEX deleted_namespaces_pending ON deleted_namespaces (incarnation) WHERE logged = 0;
