//! A new file of the front end is embedded, too: cargo sees only changes of files that it knows.

fn main() -> std::io::Result<()> {
    // Without the folder, cargo would take it for changed each time.
    std::fs::create_dir_all("../frontend/dist")?;
    println!("cargo:rerun-if-changed=../frontend/dist");
    Ok(())
}
