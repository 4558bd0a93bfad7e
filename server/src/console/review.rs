//! What was not understood, for whoever improves the bot.

use std::collections::BTreeMap;

use banter_engine::{
    review::{Doubtful, review},
    turn::Candidate,
};
use banter_stores::{Millis, NewTurn, TurnFilter};
use serde::Serialize;
use tokio::task::block_in_place;
use utoipa::ToSchema;

use super::{Console, ConsoleError, Texts};

/// Distinct utterances of each outcome that a review looks at, at most: the model sees each.
const UTTERANCES: usize = 100;
/// Turns read at a time.
const PAGE: u32 = 200;
/// Pages read at most.
const PAGES: usize = 5;
/// The outcomes that are looked at.
const OUTCOMES: [&str; 2] = ["unknown", "ambiguous"];

/// Utterances of similar meaning.
#[derive(Serialize, ToSchema)]
pub struct ReviewGroup {
    /// The first is the newest.
    pub utterances: Vec<ReviewedText>,
}

#[derive(Serialize, ToSchema)]
pub struct ReviewedText {
    pub text: String,
    /// How often it was said.
    pub times: usize,
    pub language: String,
    /// Where it was said last.
    pub dialog_id: i64,
    /// Whether two intents are about equally likely.
    pub ambiguous: bool,
    /// The likeliest intents of the version in use, best first.
    pub candidates: Vec<Candidate>,
    /// What the user chose when the bot asked which intent was meant.
    #[schema(required)]
    pub chosen: Option<String>,
}

impl Console {
    /// What users have said since then that the version in use does not understand, the largest group first.
    ///
    /// # Errors
    /// [`ConsoleError::Store`], [`ConsoleError::Internal`] when the model fails.
    pub async fn review(&self, since: Millis, texts: Texts) -> Result<Vec<ReviewGroup>, ConsoleError> {
        let said = self.misunderstood(since).await?;
        let distinct: Vec<&str> = said.iter().map(|(turn, _)| turn.text.as_str()).collect();
        let chosen = self.choices(said.iter().map(|(turn, _)| turn)).await?;
        let snapshot = self.follower.line().stable.snapshot.clone();
        let groups = block_in_place(|| review(&self.engine, &snapshot, &distinct));
        let groups = groups.map_err(|error| ConsoleError::Internal(error.to_string()))?;
        let mut mask = texts.mask(said.iter().map(|(turn, _)| turn));
        let mut shown = |text: &str| mask.as_mut().map_or_else(|| text.to_owned(), |mask| mask.redact(text));
        let mut group = |group: Vec<Doubtful>| ReviewGroup {
            utterances: group
                .into_iter()
                .map(|doubtful| {
                    let (turn, times) = &said[doubtful.index];
                    ReviewedText {
                        text: shown(&turn.text),
                        times: *times,
                        language: turn.classification["language"].as_str().unwrap_or_default().to_owned(),
                        dialog_id: turn.dialogue.0,
                        ambiguous: doubtful.ambiguous,
                        candidates: doubtful.candidates,
                        chosen: chosen.get(&turn.id).cloned(),
                    }
                })
                .collect(),
        };
        Ok(groups.into_iter().map(&mut group).collect())
    }

    /// What users chose after turns that asked which intent was meant, by the ids of these turns.
    async fn choices<'t>(
        &self,
        turns: impl Iterator<Item = &'t NewTurn>,
    ) -> Result<BTreeMap<String, String>, ConsoleError> {
        let mut chosen = BTreeMap::new();
        for asked in turns.filter(|turn| turn.state.clarify.is_some()) {
            let next = self.stores.turns.of_dialogue(asked.dialogue, asked.seq, 1).await?.pop();
            let intent = next.and_then(|turn| Some(turn.classification["explain"]["chosen"].as_str()?.to_owned()));
            chosen.extend(intent.map(|intent| (asked.id.clone(), intent)));
        }
        Ok(chosen)
    }

    /// Distinct utterances with how often each was said, the newest first.
    async fn misunderstood(&self, since: Millis) -> Result<Vec<(NewTurn, usize)>, ConsoleError> {
        let mut found: Vec<(NewTurn, usize)> = Vec::new();
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for outcome in OUTCOMES {
            let filter = TurnFilter { outcome: Some(outcome.to_owned()), since: Some(since), ..TurnFilter::default() };
            let (mut before, room) = (None, found.len() + UTTERANCES);
            for _ in 0..PAGES {
                let page = self.stores.reports.search(&filter, before.as_deref(), PAGE).await?;
                for turn in page.turns {
                    match places.get(&turn.text) {
                        Some(place) => found[*place].1 += 1,
                        None if found.len() < room => {
                            places.insert(turn.text.clone(), found.len());
                            found.push((turn, 1));
                        }
                        None => {}
                    }
                }
                before = page.next;
                if before.is_none() {
                    break;
                }
            }
        }
        found.sort_by(|(one, _), (other, _)| other.id.cmp(&one.id));
        Ok(found)
    }
}
