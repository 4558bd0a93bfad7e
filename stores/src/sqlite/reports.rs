//! What consoles read of all turns, in SQLite.

use async_trait::async_trait;
use rusqlite::{Connection, Row, ToSql};

use super::{
    SqliteStore,
    rows::{COLUMNS, StoredTurn},
};
use crate::{
    FoundTurns, LATENCY_BOUNDS, Period, SCANNED, StoreError, Tallies, Tally, TurnFilter, TurnReports,
    reports::{Indexed, id_range},
};

#[async_trait]
impl TurnReports for SqliteStore {
    async fn search(&self, filter: &TurnFilter, before: Option<&str>, limit: u32) -> Result<FoundTurns, StoreError> {
        let (filter, range) = (filter.clone(), id_range(filter, before));
        let (rows, next) = self.read(move |connection| search(connection, &filter, &range, limit)).await?;
        let turns = rows.into_iter().map(StoredTurn::into_turn).collect::<Result<_, _>>()?;
        Ok(FoundTurns { turns, next })
    }

    async fn tally(&self, period: Period) -> Result<Tallies, StoreError> {
        self.read(move |connection| tally(connection, period)).await
    }
}

fn search(
    connection: &Connection,
    filter: &TurnFilter,
    (first, end): &(String, String),
    limit: u32,
) -> rusqlite::Result<(Vec<StoredTurn>, Option<String>)> {
    let indexed = filter.indexed();
    let sql = search_sql(indexed.map(|(condition, _)| condition));
    let value = indexed.map(|(_, value)| value);
    let mut values: Vec<&dyn ToSql> = vec![first, end, &SCANNED];
    values.extend(value.iter().map(|value| value as &dyn ToSql));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(&values[..])?;
    let (mut found, mut read) = (Vec::new(), 0);
    let wanted = filter.text.as_ref().map(|text| text.to_lowercase());
    while let Some(row) = rows.next()? {
        read += 1;
        if takes(filter, wanted.as_deref(), row)? {
            found.push(StoredTurn::read(row)?);
        }
        if found.len() == limit as usize || read == SCANNED {
            return Ok((found, Some(row.get(0)?)));
        }
    }
    Ok((found, None))
}

/// The turns of a range of ids, the newest first; ids, conditions and texts, and the rest of a turn.
fn search_sql(indexed: Option<Indexed>) -> String {
    let condition = match indexed {
        None => "",
        Some(Indexed::Intent) => "intent = ?4 AND",
        Some(Indexed::Outcome) => "outcome = ?4 AND",
        Some(Indexed::Version) => "catalogue = ?4 AND",
    };
    format!(
        "SELECT {COLUMNS}, intent, outcome, language, catalogue FROM turns
         WHERE {condition} id >= ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    )
}

/// `wanted` is the filter's text in lower case.
fn takes(filter: &TurnFilter, wanted: Option<&str>, row: &Row<'_>) -> rusqlite::Result<bool> {
    let conditions = [
        ("intent", &filter.intent),
        ("outcome", &filter.outcome),
        ("language", &filter.language),
        ("catalogue", &filter.version),
    ];
    for (column, value) in conditions {
        if let Some(value) = value
            && row.get_ref(column)?.as_str_or_null()? != Some(value)
        {
            return Ok(false);
        }
    }
    let Some(wanted) = wanted else { return Ok(true) };
    for column in ["text", "response"] {
        if row.get_ref(column)?.as_str()?.to_lowercase().contains(wanted) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Turns by step, outcome, hand-off and class of latency.
fn tally_sql() -> String {
    let class: Vec<String> = LATENCY_BOUNDS.iter().map(|bound| format!("(latency >= {bound})")).collect();
    format!(
        "SELECT (created_at - ?1) / ?3 AS step, outcome, hands_off, {} AS class, COUNT(*) FROM turns
         WHERE created_at >= ?1 AND created_at < ?2 GROUP BY 1, 2, 3, 4",
        class.join(" + ")
    )
}

const INTENTS: &str = "SELECT intent, COUNT(*) FROM turns
     WHERE created_at >= ?1 AND created_at < ?2 AND intent IS NOT NULL GROUP BY intent";
const FAILURES: &str = "SELECT event.value ->> 'type', event.value ->> 'plugin', COUNT(*)
     FROM turns INDEXED BY turns_that_failed, json_each(classification, '$.events') AS event
     WHERE failures > 0 AND created_at >= ?1 AND created_at < ?2 GROUP BY 1, 2";

fn tally(connection: &Connection, period: Period) -> rusqlite::Result<Tallies> {
    let Period { since, until, step } = period;
    let one = |row: &Row<'_>| {
        Ok(Tally {
            step: row.get(0)?,
            outcome: row.get(1)?,
            hand_off: row.get(2)?,
            latency: row.get(3)?,
            turns: row.get(4)?,
        })
    };
    let turns =
        connection.prepare_cached(&tally_sql())?.query_map([since, until, step], one)?.collect::<Result<_, _>>()?;
    let pair = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
    let intents = connection.prepare_cached(INTENTS)?.query_map([since, until], pair)?.collect::<Result<_, _>>()?;
    let failure = |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), row.get(2)?));
    let failures =
        connection.prepare_cached(FAILURES)?.query_map([since, until], failure)?.collect::<Result<_, _>>()?;
    Ok(Tallies { turns, intents, failures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::migrations;

    #[test]
    fn searches_and_numbers_are_read_from_their_indexes() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrations::run(&mut connection).unwrap();
        let intents = INTENTS.to_owned();
        for (sql, index) in [
            (search_sql(None), "SEARCH turns USING INDEX sqlite_autoindex_turns_1 (id>? AND id<?)"),
            (
                search_sql(Some(Indexed::Intent)),
                "SEARCH turns USING INDEX turns_by_intent (intent=? AND id>? AND id<?)",
            ),
            (
                search_sql(Some(Indexed::Outcome)),
                "SEARCH turns USING INDEX turns_by_outcome (outcome=? AND id>? AND id<?)",
            ),
            (
                search_sql(Some(Indexed::Version)),
                "SEARCH turns USING INDEX turns_by_catalogue (catalogue=? AND id>? AND id<?)",
            ),
            (tally_sql(), "SEARCH turns USING COVERING INDEX turns_in_numbers (created_at>? AND created_at<?)"),
            (intents, "SEARCH turns USING COVERING INDEX turns_in_numbers (created_at>? AND created_at<?)"),
        ] {
            let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let step: String = explained.raw_query().next().unwrap().unwrap().get(3).unwrap();
            assert_eq!(step, index, "{sql}");
        }
    }
}
