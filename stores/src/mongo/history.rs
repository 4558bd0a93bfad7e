//! Histories, page by page.

use futures::TryStreamExt;
use mongodb::bson::{Bson, Document, Timestamp, doc};

use super::{MongoStore, PAGE, Position, document::*};
use crate::{HISTORY_PAGE, HistoryEntry, HistoryQuery, StoreError, UserId};

/// The messages of a user, perhaps of one dialogue only, perhaps only those before one of them.
struct HistoryPart {
    filter: Document,
    order: HistoryOrder,
}

impl HistoryPart {
    /// The filter for messages behind a mark.
    fn behind(&self, mark: Option<Bson>) -> Document {
        let mut filter = self.filter.clone();
        if let Some(mark) = mark {
            filter.insert("$and", [doc! { self.order.field(): { "$gt": mark } }]);
        }
        filter
    }
}

/// Within one dialogue, `seq` and `at` give the same order; each has an index.
#[derive(Clone, Copy, PartialEq)]
enum HistoryOrder {
    Dialogue,
    User,
}

impl HistoryOrder {
    fn field(self) -> &'static str {
        match self {
            Self::Dialogue => "seq",
            Self::User => "at",
        }
    }

    /// The sort along the index; `direction` is 1 or -1.
    fn sort(self, direction: i32) -> Document {
        match self {
            Self::Dialogue => doc! { "dialog_id": direction, "seq": direction },
            Self::User => doc! { "user_id": direction, "at": direction },
        }
    }

    /// The value of the field at a place.
    fn mark(self, place: u64) -> Bson {
        match self {
            Self::Dialogue => Bson::Int64(i64::try_from(place).unwrap_or(i64::MAX)),
            // A cluster time has a second in its upper half and a count in its lower half.
            Self::User => Bson::Timestamp(Timestamp {
                time: u32::try_from(place >> 32).unwrap_or(u32::MAX),
                increment: (place & u64::from(u32::MAX)) as u32,
            }),
        }
    }

    fn entry(self, turn: &Document) -> Result<HistoryEntry, StoreError> {
        let place = match self {
            Self::Dialogue => integer(turn, "seq")?.cast_unsigned(),
            Self::User => {
                let Timestamp { time, increment } =
                    turn.get_timestamp("at").map_err(|error| damaged(format!("at: {error}")))?;
                u64::from(time) << 32 | u64::from(increment)
            }
        };
        let (text, response) = (text(turn, "text")?.to_owned(), text(turn, "response")?.to_owned());
        Ok(HistoryEntry { place, id: id(turn)?, text, response })
    }
}

impl MongoStore {
    /// See [`TurnStore::history`](crate::TurnStore::history).
    pub(super) async fn read_history(
        &self,
        user: UserId,
        query: &HistoryQuery,
    ) -> Result<Vec<HistoryEntry>, StoreError> {
        let Some(part) = self.history_part(user, query).await? else { return Ok(Vec::new()) };
        let (after, direction) = match (query.after, query.limit) {
            (Some(place), _) => (Some(part.order.mark(place)), 1),
            (None, None) => (None, 1),
            (None, Some(0)) => return Ok(Vec::new()),
            // The newest messages, if they fit on one page.
            (None, Some(limit)) if limit <= HISTORY_PAGE => (None, -1),
            (None, Some(limit)) => (self.mark_before_newest(&part, limit).await?, 1),
        };
        let limit = query.limit.unwrap_or(HISTORY_PAGE).min(HISTORY_PAGE);
        let projection = doc! { "text": 1, "response": 1, part.order.field(): 1 };
        let page: Vec<Document> = self
            .ask(async {
                let find = self.turns.find(part.behind(after)).sort(part.order.sort(direction)).projection(projection);
                find.limit(limit.cast_signed()).await?.try_collect().await
            })
            .await?;
        let mut page = page.iter().map(|turn| part.order.entry(turn)).collect::<Result<Vec<_>, _>>()?;
        if direction < 0 {
            page.reverse();
        }
        Ok(page)
    }

    /// `None` if nothing precedes the message that the query names: it does not exist or is in another dialogue.
    async fn history_part(&self, user: UserId, query: &HistoryQuery) -> Result<Option<HistoryPart>, StoreError> {
        let mut filter = doc! { "user_id": user.0, "removed": { "$exists": false } };
        // A turn that only gives a dialogue back to the bot says nothing.
        filter.insert("$nor", [doc! { "text": "", "response": "" }]);
        let order = if query.dialogue.is_some() { HistoryOrder::Dialogue } else { HistoryOrder::User };
        if let Some(dialogue) = query.dialogue {
            filter.insert("dialog_id", dialogue.0);
        }
        if let Some(before) = &query.before {
            let found = self.position_of(user, before).await?;
            let asked = |position: &Position| query.dialogue.is_none_or(|dialogue| dialogue == position.dialogue);
            let Some(position) = found.filter(asked) else { return Ok(None) };
            match order {
                HistoryOrder::Dialogue => filter.insert("seq", doc! { "$lt": position.seq }),
                HistoryOrder::User => filter.insert("at", doc! { "$lt": position.at }),
            };
        }
        Ok(Some(HistoryPart { filter, order }))
    }

    /// The mark behind which the newest `limit` messages are; `None` if these are all.
    async fn mark_before_newest(&self, part: &HistoryPart, limit: u64) -> Result<Option<Bson>, StoreError> {
        let (field, mut filter, mut left) = (part.order.field(), part.filter.clone(), limit);
        // Reads marks in pages, so that each query stays short for any length of history.
        loop {
            let count = i64::try_from(left.saturating_add(1)).unwrap_or(i64::MAX).min(PAGE);
            let marks: Vec<Document> = self
                .ask(async {
                    let find = self.turns.find(filter.clone()).sort(part.order.sort(-1));
                    find.projection(doc! { "_id": 0, field: 1 }).limit(count).await?.try_collect().await
                })
                .await?;
            let read = marks.len() as u64;
            let last = marks.last().and_then(|mark| mark.get(field)).cloned();
            match last {
                Some(mark) if read > left => return Ok(Some(mark)),
                Some(mark) if read == PAGE.cast_unsigned() => {
                    filter = part.filter.clone();
                    filter.insert("$and", [doc! { field: { "$lt": mark } }]);
                    left -= read;
                }
                _ => return Ok(None),
            }
        }
    }
}
