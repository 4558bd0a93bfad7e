//! A snapshot built from another one: it repeats no work that it can reuse, and classifies as well.

use std::sync::Arc;

use banter_engine::{
    Snapshot,
    catalogue::{Catalogue, bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{Embedder, Urgency, hashed::HashedEmbedder},
    handlers::{plugin::NoPlugins, script::Scripting},
    policy::Ceiling,
    snapshot::{BuildError, Made},
};

const INTENTS: usize = 40;
const EXAMPLES: usize = 45;

/// Texts of intents that share some words and have some of their own.
fn example(intent: usize, number: usize) -> String {
    let (own, shared) = (intent * 7, number % 9);
    format!("please word{own} and word{} or thing{shared} number{number} word{}", own + 1 + number % 3, own + 4)
}

struct Bot {
    intents: Vec<(String, Vec<String>)>,
    text: String,
}

impl Bot {
    fn new() -> Self {
        let examples = |intent: usize| (0..EXAMPLES).map(|number| example(intent, number)).collect();
        let intents = (0..INTENTS).map(|intent| (format!("intent{intent:02}"), examples(intent))).collect();
        Self { intents, text: "Pardon?".to_owned() }
    }

    fn catalogue(&self) -> Arc<Catalogue> {
        let mut bundle = Bundle::default();
        let bot = format!("name: test\nlanguages: [en]\nfallback: {{ text: {} }}\n", self.text);
        bundle.files.insert("bot.yaml".to_owned(), bot.into_bytes());
        for (name, examples) in &self.intents {
            let list: String = examples.iter().map(|text| format!("    - {text}\n")).collect();
            let file = format!("intent: {name}\nexamples:\n  en:\n{list}handler: {{ reply: Yes }}\n");
            bundle.files.insert(format!("intents/{name}.yaml"), file.into_bytes());
        }
        let mut diagnostics = Diagnostics::default();
        let loaded = loader::load(&bundle, &Scripting::new(), &NoPlugins, &Ceiling::unlimited(), &mut diagnostics);
        Arc::new(loaded.unwrap_or_else(|| panic!("{}", diagnostics.render(false))))
    }
}

fn embedder() -> HashedEmbedder {
    HashedEmbedder::new(64)
}

fn build(bot: &Bot) -> Snapshot {
    Snapshot::build(bot.catalogue(), &embedder(), None, &mut |_| {}).unwrap().0
}

fn succeed(base: &Snapshot, bot: &Bot) -> (Snapshot, Made) {
    let (next, report) = base.succeed(bot.catalogue(), &embedder(), None, &mut |_| {}).unwrap();
    (next, report.classifier)
}

/// The likeliest intent of a text, with its probability.
fn guess(snapshot: &Snapshot, text: &str) -> (String, f32) {
    let vector = embedder().embed(&[text.to_owned()], Urgency::Patient).unwrap().remove(0);
    let best = snapshot.classifier.classify(text, &vector).candidates.remove(0);
    (best.intent.to_string(), best.probability)
}

/// The share of examples that are classified correctly, measured on every third one.
fn right(snapshot: &Snapshot, bot: &Bot) -> f64 {
    let all = bot.intents.iter().flat_map(|(name, examples)| examples.iter().map(move |text| (name, text)));
    let (mut right, mut count) = (0, 0);
    for (name, text) in all.step_by(3) {
        right += usize::from(guess(snapshot, text).0 == *name);
        count += 1;
    }
    f64::from(right as u32) / f64::from(count)
}

#[test]
fn a_changed_text_keeps_the_classifier() {
    let mut bot = Bot::new();
    let base = build(&bot);
    bot.text = "Sorry?".to_owned();
    let (next, made) = succeed(&base, &bot);
    assert_eq!(made, Made::Kept);
    assert!(Arc::ptr_eq(&base.classifier, &next.classifier));
    assert_ne!(base.catalogue.version, next.catalogue.version);
}

#[test]
fn a_few_changes_are_followed() {
    let mut bot = Bot::new();
    let base = build(&bot);
    let old = guess(&base, "grand piano with black lacquer").0;
    let target = if old == "intent05" { 6 } else { 5 };
    bot.intents[target].1.push("grand piano with black lacquer".to_owned());
    bot.intents[target].1.remove(0);
    bot.intents[9].1[3] = "a violin that was made in cremona".to_owned();
    let (next, made) = succeed(&base, &bot);
    assert_eq!(made, Made::Followed);
    assert_eq!(guess(&next, "grand piano with black lacquer").0, bot.intents[target].0);
    assert_eq!(guess(&next, "the violin was made in cremona").0, "intent09");
    let whole = build(&bot);
    let (followed, trained) = (right(&next, &bot), right(&whole, &bot));
    assert!(followed > trained - 0.01, "{followed} of the examples, and {trained} after a fit from nothing");
}

#[test]
fn an_intent_comes_and_another_goes() {
    let mut bot = Bot::new();
    let base = build(&bot);
    let news: Vec<String> = (0..8).map(|number| format!("melody of a cello in the evening {number}")).collect();
    bot.intents.insert(3, ("intent02b".to_owned(), news));
    let (with, made) = succeed(&base, &bot);
    assert_eq!(made, Made::Followed);
    let (name, probability) = guess(&with, "a cello plays a melody in the evening");
    assert!(name == "intent02b" && probability > 0.5, "{name} {probability}");
    assert!(right(&with, &bot) > 0.99, "{}", right(&with, &bot));
    bot.intents.remove(3);
    let (without, made) = succeed(&with, &bot);
    assert_eq!(made, Made::Followed);
    assert!(right(&without, &bot) > 0.99, "{}", right(&without, &bot));
    assert_ne!(guess(&without, "a cello plays a melody in the evening").0, "intent02b");
}

#[test]
fn many_changes_are_fitted_anew() {
    let mut bot = Bot::new();
    let base = build(&bot);
    for number in 0..EXAMPLES {
        bot.intents[1].1[number] = format!("trumpet fanfare {number}");
        bot.intents[2].1[number] = format!("drum roll {number}");
    }
    assert_eq!(succeed(&base, &bot).1, Made::Trained);
}

/// Another server takes over an updated classifier unchanged.
#[test]
fn a_classifier_is_adopted() {
    let mut bot = Bot::new();
    let base = build(&bot);
    bot.intents[5].1.push("grand piano with black lacquer".to_owned());
    let (next, _) = succeed(&base, &bot);
    let bytes = next.classifier_bytes(&embedder()).unwrap();
    for start in [Some(&base), None] {
        let adopted = Snapshot::adopt(start, bot.catalogue(), &bytes, &embedder(), None, &mut |_| {}).unwrap();
        for text in ["grand piano with black lacquer", "please word35 and word36", "nothing of this"] {
            assert_eq!(guess(&adopted, text), guess(&next, text), "{text}");
        }
        assert_eq!(adopted.classifier_hash(&embedder()).unwrap(), next.classifier_hash(&embedder()).unwrap());
    }
    bot.intents[5].1.push("one more".to_owned());
    let foreign = Snapshot::adopt(None, bot.catalogue(), &bytes, &embedder(), None, &mut |_| {});
    assert!(matches!(foreign, Err(BuildError::ForeignClassifier)));
    let mut damaged = bytes.clone();
    damaged[90] ^= 1;
    bot.intents[5].1.pop();
    assert!(Snapshot::adopt(None, bot.catalogue(), &damaged, &embedder(), None, &mut |_| {}).is_err());
}
