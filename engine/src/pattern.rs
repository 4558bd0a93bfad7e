//! The conversation patterns: what every bot can do without an intent for it, each with a text that an author may
//! replace. The names follow the published patterns of Rasa CALM where there is one.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A conversation pattern. Its name in bot.yaml and in fixtures is the variant's in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// The user starts over.
    Restarted,
    /// The user wants to skip a question that needs an answer.
    CannotSkip,
    /// The user asks for help during a form.
    FormHelp,
    /// The user wants to go back, and there is nothing to go back to.
    CannotGoBack,
    /// The user asks to hear the last reply again, and there is none.
    NothingToRepeat,
    /// The user does not want what an intent does.
    Negated,
    /// A part of the message was not understood.
    LeftOut,
    /// An interrupted form goes on.
    Resumed,
    /// The bot asks whether an interrupted form goes on.
    ResumeAsked,
    /// The answer to a confirmation is neither yes nor no.
    ConfirmAgain,
    /// The user refuses a confirmation, and the bot asks what to change.
    ChangeWhat,
    /// The bot asks which of three or four intents was meant.
    ClarifyMany,
    /// None of the offered intents was meant.
    Denied,
    /// A form is complete and its handler has answered.
    Completed,
    /// What the button says that refuses all that is offered.
    NoneOfThese,
    /// The last reply is said again.
    Repeated,
    /// The date that was said does not exist.
    NoSuchDay,
    /// The time of day that was said does not exist.
    NoSuchTime,
    /// The date that was said is another day of the week.
    OtherWeekday,
    /// The value that was said is not admitted.
    OutOfRange,
    /// A session begins.
    SessionStarted,
    /// A session has ended with an open question, and the user writes again.
    SessionEnded,
    /// The user has been silent after a question.
    Idle,
    /// Nothing is understood, and the message has no words.
    NoWords,
    /// Nothing is understood, and the message is written in letters of another language.
    OtherLanguage,
    /// Nothing is understood but an intent that cannot be started now.
    NotNow,
    /// The message is too long.
    TooLong,
    /// The message contains no text.
    Empty,
    /// A handler failed.
    InternalError,
}

impl Pattern {
    /// All patterns.
    pub const ALL: [Self; 29] = [
        Self::Restarted,
        Self::CannotSkip,
        Self::FormHelp,
        Self::CannotGoBack,
        Self::NothingToRepeat,
        Self::Negated,
        Self::LeftOut,
        Self::Resumed,
        Self::ResumeAsked,
        Self::ConfirmAgain,
        Self::ChangeWhat,
        Self::ClarifyMany,
        Self::Denied,
        Self::Completed,
        Self::NoneOfThese,
        Self::Repeated,
        Self::NoSuchDay,
        Self::NoSuchTime,
        Self::OtherWeekday,
        Self::OutOfRange,
        Self::SessionStarted,
        Self::SessionEnded,
        Self::Idle,
        Self::NoWords,
        Self::OtherLanguage,
        Self::NotNow,
        Self::TooLong,
        Self::Empty,
        Self::InternalError,
    ];

    /// Its name in bot.yaml and in fixtures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Restarted => "restarted",
            Self::CannotSkip => "cannot_skip",
            Self::FormHelp => "form_help",
            Self::CannotGoBack => "cannot_go_back",
            Self::NothingToRepeat => "nothing_to_repeat",
            Self::Negated => "negated",
            Self::LeftOut => "left_out",
            Self::Resumed => "resumed",
            Self::ResumeAsked => "resume_asked",
            Self::ConfirmAgain => "confirm_again",
            Self::ChangeWhat => "change_what",
            Self::ClarifyMany => "clarify_many",
            Self::Denied => "denied",
            Self::Completed => "completed",
            Self::NoneOfThese => "none_of_these",
            Self::Repeated => "repeated",
            Self::NoSuchDay => "no_such_day",
            Self::NoSuchTime => "no_such_time",
            Self::OtherWeekday => "other_weekday",
            Self::OutOfRange => "out_of_range",
            Self::SessionStarted => "session_started",
            Self::SessionEnded => "session_ended",
            Self::Idle => "idle",
            Self::NoWords => "no_words",
            Self::OtherLanguage => "other_language",
            Self::NotNow => "not_now",
            Self::TooLong => "too_long",
            Self::Empty => "empty",
            Self::InternalError => "internal_error",
        }
    }

    /// Whether an author may answer at it. The last reply is repeated as it was.
    pub fn has_answer(self) -> bool {
        self != Self::Repeated
    }

    /// Whether an intent may be started at it. At the others, a form goes on.
    pub fn may_jump(self) -> bool {
        matches!(
            self,
            Self::NothingToRepeat
                | Self::Negated
                | Self::Denied
                | Self::Completed
                | Self::Idle
                | Self::NoWords
                | Self::OtherLanguage
                | Self::NotNow
                | Self::Empty
        )
    }

    /// What its text may contain in braces, beside nothing.
    pub fn values(self) -> &'static [&'static str] {
        match self {
            Self::Negated | Self::Resumed | Self::ResumeAsked | Self::NotNow => &["title"],
            Self::OtherLanguage => &["languages"],
            Self::LeftOut => &["rest"],
            Self::ClarifyMany => &["options"],
            Self::OutOfRange => &["said", "range"],
            Self::NoSuchDay | Self::NoSuchTime | Self::OtherWeekday => &["said"],
            _ => &[],
        }
    }

    /// The engine's own text in English and Russian; `None` if the pattern says nothing of its own.
    pub fn default_text(self) -> Option<[(&'static str, &'static str); 2]> {
        let (en, ru) = match self {
            Self::Restarted => ("All right, let us start over.", "Хорошо, начнём сначала."),
            Self::CannotSkip => ("I need an answer to go on.", "Без ответа я не могу продолжить."),
            Self::FormHelp => (
                "You can answer the question, go back, start over, or cancel.",
                "Можно ответить на вопрос, вернуться назад, начать сначала или отменить.",
            ),
            Self::CannotGoBack => ("There is nothing to go back to.", "Возвращаться некуда."),
            Self::NothingToRepeat => ("I have not said anything yet.", "Я ещё ничего не говорил."),
            Self::Negated => (
                "All right, I will not do that. What would you like instead?",
                "Хорошо, не буду. Что сделать вместо этого?",
            ),
            Self::LeftOut => ("I did not understand this part: “{rest}”.", "Эту часть я не понял: «{rest}»."),
            Self::Resumed => ("Back to where we were: {title}.", "Вернёмся к тому, что начали: {title}."),
            Self::ResumeAsked => ("Shall we go on: {title}?", "Продолжим: {title}?"),
            Self::ConfirmAgain => ("Please answer yes or no.", "Ответьте, пожалуйста, да или нет."),
            Self::ChangeWhat => ("What shall I change?", "Что изменить?"),
            Self::ClarifyMany => {
                ("Did you mean one of these?\n{options}", "Вы имели в виду что-то из этого?\n{options}")
            }
            Self::Denied => ("Then please say it in other words.", "Тогда скажите, пожалуйста, другими словами."),
            Self::NoneOfThese => ("None of these", "Ничего из этого"),
            Self::NoSuchDay => ("There is no such day: {said}.", "Такого дня нет: {said}."),
            Self::NoSuchTime => ("There is no such time: {said}.", "Такого времени нет: {said}."),
            Self::OtherWeekday => {
                ("That date is another day of the week: {said}.", "Эта дата — другой день недели: {said}.")
            }
            Self::OutOfRange => ("“{said}” does not fit. It must be {range}.", "«{said}» не подходит. Нужно {range}."),
            Self::Idle => ("Are you still there?", "Вы ещё здесь?"),
            Self::OtherLanguage => ("I speak: {languages}.", "Я говорю на этих языках: {languages}."),
            Self::TooLong => (
                "That is too long for me. Please say it in fewer words.",
                "Это слишком длинно для меня. Скажите, пожалуйста, короче.",
            ),
            Self::SessionStarted
            | Self::SessionEnded
            | Self::NoWords
            | Self::NotNow
            | Self::Repeated
            | Self::Completed
            | Self::Empty
            | Self::InternalError => return None,
        };
        Some([("en", en), ("ru", ru)])
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_files() {
        for pattern in Pattern::ALL {
            assert_eq!(serde_json::to_value(pattern).unwrap(), pattern.name());
        }
    }
}
