//! After each fault, no acknowledged message is lost.

use std::{
    fs,
    path::PathBuf,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    fleet::{Fleet, Setup, target},
    proxy::Proxy,
    services::{SERVERS, script},
    support::root,
};

/// How long a killed store stays down.
const DEAD: Duration = Duration::from_secs(2);
const PAUSED: Duration = Duration::from_secs(5);

fn killed(store: &str) {
    Fleet::start(&Setup::default()).survive(&format!("{store} killed"), |_| {
        script(&format!("kill {store}"));
        thread::sleep(DEAD);
        script(&format!("up {store}"));
    });
}

fn paused(store: &str) {
    Fleet::start(&Setup::default()).survive(&format!("{store} paused"), |_| {
        script(&format!("pause {store}"));
        thread::sleep(PAUSED);
        script(&format!("resume {store}"));
    });
}

#[test]
fn a_server_is_killed() {
    Fleet::start(&Setup::default()).survive("server killed", |fleet| fleet.replace(0));
}

#[test]
fn postgres_is_killed() {
    killed("postgres");
}

#[test]
fn mongod_is_killed() {
    killed("mongo");
}

#[test]
fn redis_is_killed() {
    killed("redis");
}

#[test]
fn postgres_is_paused() {
    paused("postgres");
}

#[test]
fn mongod_is_paused() {
    paused("mongo");
}

#[test]
fn redis_is_paused() {
    paused("redis");
}

#[test]
fn redis_is_flushed() {
    Fleet::start(&Setup::default()).survive("redis flushed", |fleet| {
        let client = redis::Client::open(fleet.stores.redis.as_ref().unwrap().text()).unwrap();
        redis::cmd("FLUSHALL").exec(&mut client.get_connection().unwrap()).unwrap();
    });
}

#[test]
fn connections_are_cut_in_the_middle_of_writes() {
    fn has(buffer: &[u8], word: &[u8]) -> bool {
        buffer.windows(word.len()).any(|window| window == word)
    }
    let proxies = [
        // Either a new statement, or the `Bind` message of a prepared one.
        Proxy::to(&target(&SERVERS.postgres), |buffer| has(buffer, b"INSERT") || buffer.starts_with(b"B")),
        Proxy::to(&target(&SERVERS.mongo), |buffer| has(buffer, b"insert\0")),
        Proxy::to(&target(&SERVERS.redis), |buffer| has(buffer, b"PSETEX")),
    ];
    let setup = Setup { proxies: Some(proxies), ..Setup::default() };
    Fleet::start(&setup).survive("connections cut", |_| {
        for proxy in setup.proxies.iter().flatten() {
            proxy.cut(12);
            let end = Instant::now() + Duration::from_secs(60);
            while proxy.pending() > 0 {
                assert!(Instant::now() < end, "no write came that could be cut");
                thread::sleep(Duration::from_millis(10));
            }
        }
    });
}

#[test]
fn clocks_are_five_minutes_apart() {
    let setup = Setup { clock_offset: Some(300), ..Setup::default() };
    Fleet::start(&setup).survive("clocks apart", |fleet| {
        let made = |server| fleet.token_time(server);
        assert!((290..=310).contains(&(made(1) - made(0))), "the clocks do not differ");
    });
}

/// A separate mongod on a small in-memory file system, unmounted on drop.
struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    fn mount() -> Self {
        // `services.sh reset` finds it here if this process is killed.
        let folder = PathBuf::from(script("root").trim()).join("inner/small-disk");
        fs::create_dir_all(folder.join("disk")).unwrap();
        let disk = Self { folder };
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", "size=400m", "none"]).arg(disk.path("disk")).status();
        assert!(mounted.unwrap().success(), "mounting the small disk failed; it needs root");
        disk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn services(&self, words: &str) -> String {
        let output = Command::new("services/services.sh")
            .args(words.split(' '))
            .current_dir(root())
            .env("SERVICES_ROOT", self.path("root"))
            .env("SERVICES_MONGO_DATA", self.path("disk/data"))
            // Sync the files every second instead of every minute.
            .env("SERVICES_MONGO_OPTIONS", "--syncdelay 1")
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        self.services("kill mongo");
        let _ = Command::new("umount").arg("-l").arg(self.path("disk")).status();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn the_disk_of_mongod_is_full() {
    let disk = SmallDisk::mount();
    let environment = disk.services("up mongo");
    let mongo = environment.lines().find_map(|line| line.strip_prefix("export BANTER_STORES__MONGO=")).unwrap();
    let setup = Setup { mongo: Some(mongo.trim_matches('\'').to_owned()), ..Setup::default() };
    Fleet::start(&setup).survive("disk of mongod full", |_| {
        let ballast = disk.path("disk/ballast");
        let filled = Command::new("dd").arg("if=/dev/zero").arg(format!("of={}", ballast.display())).output().unwrap();
        assert!(!filled.status.success(), "the disk is not full");
        let end = Instant::now() + Duration::from_secs(60);
        while disk.services("status mongo").contains("up") {
            assert!(Instant::now() < end, "mongod still runs on a full disk");
            thread::sleep(Duration::from_millis(100));
        }
        fs::remove_file(&ballast).unwrap();
        disk.services("up mongo");
    });
}
