//! Warnings and errors in Russian, for the classic log.

/// A message, and what it says in Russian.
const MESSAGES: &[(&str, &str)] = &[
    (
        "what was taught is not written into the bot's folder: the file there is another",
        "новый пример не записан в папку бота: файл в ней другой",
    ),
    (
        "what was taught is published, but not written into the bot's folder",
        "новый пример опубликован, но не записан в папку бота",
    ),
    ("a store does not respond", "хранилище не отвечает"),
    ("internal error", "внутренняя ошибка"),
    ("a user could not be created", "не удалось создать пользователя"),
    ("the model does not answer", "модель не отвечает"),
    ("a handler failed", "сбой обработчика"),
    ("a line of the audit log is lost", "потеряна строка журнала аудита"),
    ("too many collisions in one dialogue", "слишком много столкновений в одном диалоге"),
    (
        "a turn that is answered is still marked; who lists it next removes the mark",
        "отвеченная реплика ещё помечена; пометку снимет тот, кто прочитает её следующим",
    ),
    (
        "other servers do not hear of a turn that is perhaps stored",
        "другие серверы не узнают о реплике, которая, возможно, записана",
    ),
    (
        "cannot read a cached file of a version; it is fetched again",
        "не удаётся прочитать сохранённый файл версии; он загружается снова",
    ),
    (
        "cannot cache a file of the version; it will be fetched again next time",
        "не удаётся сохранить файл версии; в следующий раз он загрузится снова",
    ),
    (
        "the stored classifier is damaged; it is trained again",
        "сохранённый классификатор повреждён; он обучается снова",
    ),
    ("cannot lower the priority of the gate's threads", "не удаётся понизить приоритет потоков проверки"),
    (
        "the watch of the bot's folder may have missed a change; reading the folder again",
        "наблюдение за папкой бота могло пропустить изменение; папка читается снова",
    ),
    ("cannot watch a folder", "не удаётся наблюдать за папкой"),
    (
        "cannot remove this server from the fleet; it will expire",
        "не удаётся убрать этот сервер из списка; запись устареет сама",
    ),
    (
        "cannot save the classifier; the next start will take longer",
        "не удаётся сохранить классификатор; следующий запуск займёт больше времени",
    ),
    ("the bot has warnings; list them with `banter check`", "у бота есть предупреждения; их покажет `banter check`"),
    (
        "the owners of dialogues cannot be forgotten one by one; all are forgotten",
        "владельцев диалогов не удаётся забыть по одному; забыты все",
    ),
    (
        "senders cannot be forgotten one by one; all are forgotten",
        "отправителей не удаётся забыть по одному; забыты все",
    ),
    ("old contents cannot be listed and stay", "старое содержимое не удаётся перечислить, оно остаётся"),
    ("long plugin calls run at normal priority", "долгие вызовы плагинов идут с обычным приоритетом"),
    ("cannot save the plugin's suspension", "не удаётся сохранить приостановку плагина"),
    ("a note about a suspended plugin cannot be read", "не удаётся прочитать запись о приостановленном плагине"),
    (
        "the stored compiled code cannot be read; compiling again",
        "сохранённый скомпилированный код не читается; компиляция повторяется",
    ),
    (
        "not using the stored compiled code; compiling again",
        "сохранённый скомпилированный код не подходит; компиляция повторяется",
    ),
    (
        "cannot read the stored classifier; it is trained again",
        "не удаётся прочитать сохранённый классификатор; он обучается снова",
    ),
    (
        "the intent cache is damaged or belongs to another model; rebuilding it",
        "кэш намерений повреждён или от другой модели; он строится снова",
    ),
    ("cannot read the intent cache; rebuilding it", "не удаётся прочитать кэш намерений; он строится снова"),
    (
        "cannot save the intent cache; the next start embeds the examples again",
        "не удаётся сохранить кэш намерений; следующий запуск вычислит примеры снова",
    ),
    (
        "cannot save the classifier; the next start trains it again",
        "не удаётся сохранить классификатор; следующий запуск обучит его снова",
    ),
    (
        "cannot save the vectors of the fixtures; the next replay embeds them again",
        "не удаётся сохранить векторы фикстур; следующая проверка вычислит их снова",
    ),
    (
        "cannot save the index; the next start builds it again",
        "не удаётся сохранить индекс; следующий запуск построит его снова",
    ),
    ("cannot use the stored index; rebuilding it", "не удаётся использовать сохранённый индекс; он строится снова"),
    (
        "cannot watch the bot's folder; publish changes with `banter reload`",
        "не удаётся наблюдать за папкой бота; публикуйте изменения командой `banter reload`",
    ),
    ("cannot save the compiled code", "не удаётся сохранить скомпилированный код"),
    ("a store is asked too much at once", "к хранилищу сразу слишком много запросов"),
    ("a connection cannot be accepted", "соединение не удаётся принять"),
    (
        "interrupted deletions are not finished; trying again later",
        "прерванные удаления не завершены; следующая попытка позже",
    ),
    ("an interrupted deletion is not finished", "прерванное удаление не завершено"),
    ("a history breaks off", "передача истории оборвалась"),
    (
        "expired guests are not removed; trying again later",
        "гости с истёкшим входом не удалены; следующая попытка позже",
    ),
    ("an expired guest is not removed", "гость с истёкшим входом не удалён"),
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
            // Operations bring their own sentences.
            false if path.ends_with("russian.rs") || path.ends_with("operations.rs") => String::new(),
            false => fs::read_to_string(path).unwrap_or_default(),
        };
        entries.map(text).collect()
    }

    /// The messages of warnings and errors in a source text: the last literal of each call.
    fn logged(source: &str) -> Vec<String> {
        let calls = source.split("tracing::warn!(").skip(1).chain(source.split("tracing::error!(").skip(1));
        let message = |call: &str| {
            let call = call.split(");").next()?.split("),\n").next()?;
            let (rest, _) = call.rsplit_once('"')?;
            rest.rsplit_once('"').map(|(_, literal)| literal.to_owned())
        };
        calls.filter_map(message).collect()
    }

    #[test]
    fn every_warning_and_error_has_a_translation_and_no_other_message() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let all: String =
            ["engine", "server", "stores", "sandbox", "cli"].map(|part| sources(&root.join(part).join("src"))).concat();
        let logged: Vec<String> = logged(&all);
        for message in logged.iter().filter(|message| !message.is_empty()) {
            assert!(russian(message).is_some(), "no translation of: {message}");
        }
        for (english, _) in MESSAGES {
            assert!(all.contains(&format!("\"{english}\"")), "nothing logs: {english}");
        }
    }
}
