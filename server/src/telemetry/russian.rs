//! Warnings and errors in Russian, for the classic log.

/// A message, and what it says in Russian.
const MESSAGES: &[(&str, &str)] = &[
    ("a store does not respond", "хранилище не отвечает"),
    ("internal error", "внутренняя ошибка"),
    ("a user could not be created", "не удалось создать пользователя"),
    ("the model does not answer", "модель не отвечает"),
    ("a handler failed", "сбой обработчика"),
    ("the embedded store cannot write", "встроенное хранилище не может записать данные"),
    ("google's keys cannot be fetched", "не удаётся получить ключи Google"),
    (
        "a spent refresh token was reused; its family is revoked",
        "использованный токен обновления предъявлен снова; его семейство отозвано",
    ),
    (
        "the unverified password of an address has ended: Google knows its owner",
        "неподтверждённый пароль адреса отменён: Google знает владельца",
    ),
    ("cannot serve a version; the old one stays in use", "версию не удаётся подать; работает прежняя"),
    (
        "other servers find the new version at their next look",
        "другие серверы найдут новую версию при следующей проверке",
    ),
    ("a deleted dialogue is finished at the next start", "удаление диалога завершится при следующем запуске"),
    ("deleted dialogues are finished at the next start", "удаление диалогов завершится при следующем запуске"),
    (
        "the turn cache does not respond; the last turn is read from MongoDB",
        "кэш реплик не отвечает; последняя реплика читается из MongoDB",
    ),
    (
        "the turn cache does not respond; the next message reads this turn from MongoDB",
        "кэш реплик не отвечает; следующее сообщение прочитает эту реплику из MongoDB",
    ),
    ("lost the connection to the bus", "потеряно соединение с шиной"),
    ("cannot connect to the bus", "не удаётся соединиться с шиной"),
    ("redis does not respond; the server starts without it", "redis не отвечает; сервер запускается без него"),
    ("redis does not respond; stored a session in PostgreSQL", "redis не отвечает; сессия записана в PostgreSQL"),
    ("redis does not respond; found a session in PostgreSQL", "redis не отвечает; сессия найдена в PostgreSQL"),
    (
        "redis does not respond; each server counts rate limits on its own",
        "redis не отвечает; каждый сервер считает ограничения сам",
    ),
    ("a plugin keeps failing and is suspended", "плагин постоянно отказывает и приостановлен"),
    (
        "the plugin is not built, so its intents answer with the fallback; build it with `banter plugin build`",
        "плагин не собран, его намерения отвечают запасным текстом; соберите его командой `banter plugin build`",
    ),
];

/// A message in Russian; `None` for one that has no translation.
pub fn russian(message: &str) -> Option<&'static str> {
    MESSAGES.iter().find(|(english, _)| *english == message).map(|(_, russian)| *russian)
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The text of all Rust files below a folder, without line breaks inside statements.
    fn sources(folder: &Path) -> String {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let text = |path: std::path::PathBuf| match path.is_dir() {
            true => sources(&path),
            false if path.ends_with("russian.rs") => String::new(),
            false => fs::read_to_string(path).unwrap_or_default(),
        };
        entries.map(text).collect()
    }

    #[test]
    fn every_translation_is_of_a_message() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let all: String = ["server", "stores", "sandbox"].map(|part| sources(&root.join(part).join("src"))).concat();
        for (english, _) in MESSAGES {
            assert!(all.contains(&format!("\"{english}\"")), "nothing logs: {english}");
        }
    }
}
