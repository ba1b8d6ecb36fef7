//! Generates the gRPC code from `src/api/orca.proto`, in pure Rust: no protoc is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=src/api/orca.proto");
    let files = protox::compile(["src/api/orca.proto"], ["src/api"])?;
    tonic_prost_build::configure().btree_map(".").compile_fds(files)?;
    Ok(())
}
