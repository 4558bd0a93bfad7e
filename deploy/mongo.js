// Makes the replica set and the server's user, and fails until both are there. The user may read, write and index its
// own database only. Passwords come from the environment: every user of a machine sees the words of a command.
db.getSiblingDB("admin").auth("root", process.env.MONGO_INITDB_ROOT_PASSWORD);
try {
  rs.status();
} catch (error) {
  rs.initiate({ _id: "rs0", members: [{ _id: 0, host: "mongo:27017" }] });
}
if (!db.hello().isWritablePrimary) quit(1);
const own = db.getSiblingDB("banter");
if (!own.getUser("banter")) {
  own.createUser({
    user: "banter",
    pwd: process.env.BANTER_PASSWORD,
    roles: [
      { role: "readWrite", db: "banter" },
      { role: "dbAdmin", db: "banter" },
    ],
  });
}
