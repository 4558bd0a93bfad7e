//! The tables' history. SQLite's `user_version` counts the migrations that a file has.

use rusqlite::{Connection, OptionalExtension};
use rusqlite_migration::{M, Migrations};

/// In order. Released files are never changed.
const MIGRATIONS: &[M<'static>] = &[
    M::up(include_str!("../../../migrations/sqlite/0001_init.sql")),
    M::up(include_str!("../../../migrations/sqlite/0002_user_records.sql")),
    M::up(include_str!("../../../migrations/sqlite/0003_catalogue.sql")),
    M::up(include_str!("../../../migrations/sqlite/0004_identities.sql")),
    M::up(include_str!("../../../migrations/sqlite/0005_dialogues.sql")),
    M::up(include_str!("../../../migrations/sqlite/0006_hand_offs.sql")),
    M::up(include_str!("../../../migrations/sqlite/0007_reports.sql")),
];

/// Applies the migrations that the file lacks.
///
/// # Errors
/// When one of them fails.
pub fn run(connection: &mut Connection) -> rusqlite::Result<()> {
    let applied = applied(connection)?;
    if applied >= MIGRATIONS.len() as i64 {
        return Ok(());
    }
    connection.pragma_update(None, "user_version", applied)?;
    Migrations::from_slice(MIGRATIONS).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => err,
        other => rusqlite::Error::ToSqlConversionFailure(Box::new(other)),
    })
}

/// How many migrations the file has. Before `user_version` counted them, a table of sqlx's did.
fn applied(connection: &Connection) -> rusqlite::Result<i64> {
    let counted: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = "SELECT 1 FROM sqlite_schema WHERE name = '_sqlx_migrations'";
    let before = connection.query_row(known, [], |_| Ok(())).optional()?.is_some();
    if counted > 0 || !before {
        return Ok(counted);
    }
    let count = "SELECT COUNT(*) FROM _sqlx_migrations WHERE success";
    connection.query_row(count, [], |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(connection: &Connection) -> i64 {
        connection.query_row("SELECT COUNT(*) FROM sqlite_schema WHERE type = 'table'", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn migrations_are_valid() {
        Migrations::from_slice(MIGRATIONS).validate().unwrap();
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        let before = tables(&connection);
        run(&mut connection).unwrap();
        assert_eq!(tables(&connection), before);
    }

    #[test]
    fn a_file_that_sqlx_has_migrated_goes_on_from_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        let first = include_str!("../../../migrations/sqlite/0001_init.sql");
        connection.execute_batch(first).unwrap();
        connection
            .execute_batch(
                "CREATE TABLE _sqlx_migrations (version INTEGER PRIMARY KEY, success BOOLEAN NOT NULL);
                 INSERT INTO _sqlx_migrations VALUES (1, true);
                 INSERT INTO users (created_at) VALUES (7);",
            )
            .unwrap();
        run(&mut connection).unwrap();
        let user: (i64, bool) = connection
            .query_row("SELECT id, is_admin FROM users WHERE created_at = 7", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(user, (2, false), "rows stay, and columns of later migrations are there");
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        run(&mut connection).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        run(&mut connection).unwrap();
        assert_eq!(applied(&connection).unwrap(), 99);
    }
}
