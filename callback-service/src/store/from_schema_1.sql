-- Turns the tables of schema 1 into records: a person, with the recent scans, as store/person.rs writes them, and what
-- each signature of plaintext mode came with. Moments were seconds and are milliseconds now.

-- The first files of schema 1 did without signatures.
CREATE TABLE IF NOT EXISTS signatures (
    signature TEXT PRIMARY KEY, body TEXT NOT NULL, forget_at INTEGER NOT NULL
) WITHOUT ROWID;

INSERT INTO records (key, record, forget_at)
WITH noted AS (
    SELECT openid, json_group_object(scene, json_patch(
        json_object('first', json(iif(first, 'true', 'false')), 'created_at', created_at, 'noted_at', noted_at * 1000),
        -- A patch leaves out what is null: the count and the nickname of a scan that was only attempted.
        json_object('count', count, 'nickname', nickname)
    )) AS scans FROM scans GROUP BY openid
), everybody AS (SELECT openid FROM people UNION SELECT openid FROM scans)
SELECT
    'person:' || openid,
    json_object(
        'logins', coalesce(logins, 0), 'last_login_at', coalesce(last_login_at, 0),
        'scans', json(coalesce(scans, '{}'))
    ),
    -- Ten years where something was counted (315,360,000 s), else an hour.
    (unixepoch() + iif(logins > 0, 315360000, 3600)) * 1000
FROM everybody LEFT JOIN people USING (openid) LEFT JOIN noted USING (openid);

INSERT INTO records (key, record, forget_at)
SELECT 'push:' || signature, body, forget_at * 1000 FROM signatures;

DROP TABLE people;
DROP TABLE scans;
DROP TABLE signatures;
