//! Files on disk: what cannot be read, and swaps as the kubelet makes them.

use super::*;

fn read_error(path: &Path) -> String {
    let shown = path.display().to_string();
    read(&[path.to_owned()]).unwrap_err().to_string().replace(&shown, "PATH")
}

#[test]
fn what_cannot_be_read_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("big.yaml"), vec![b'#'; 10_000_000]).unwrap();
    assert_eq!(read_error(&path("big.yaml")), "PATH: is larger than 1 MiB");
    fs::write(path("full.yaml"), vec![b'#'; usize::try_from(MAX_FILE).unwrap()]).unwrap();
    assert!(read(&[path("full.yaml")]).is_ok());
    std::fs::write(path("torn.yaml"), "").unwrap();
    assert_eq!(read_error(&path("torn.yaml")), "PATH: is empty; write it again, or remove it if nothing is meant");
    std::fs::remove_file(path("torn.yaml")).unwrap();
    fs::write(path("latin.yaml"), b"a: 1\nb: \xe4\n").unwrap();
    assert_eq!(read_error(&path("latin.yaml")), "PATH: is not UTF-8 (line 2)");
    assert!(read_error(&path("gone.yaml")).starts_with("PATH: cannot be read: "));
    fs::create_dir(path("empty")).unwrap();
    fs::write(path("empty/.hidden.yaml"), "a: 1").unwrap();
    fs::write(path("empty/notes.txt"), "a: 1").unwrap();
    assert_eq!(read_error(&path("empty")), "PATH: contains no *.yaml file");
    assert!(read(&[path("full.yaml"), path("full.yaml")]).unwrap_err().to_string().contains("is listed twice"));
    assert!(read_error(Path::new("/dev/zero")).contains("not a regular file"));
}

/// Lays a version out as the kubelet does, and returns its directory.
fn mount(directory: &Path, version: &str, files: &[(&str, &str)]) -> PathBuf {
    let real = directory.join(format!("..{version}"));
    fs::create_dir(&real).unwrap();
    for (name, text) in files {
        fs::write(real.join(name), text).unwrap();
        let _ = symlink(Path::new("..data").join(name), directory.join(name));
    }
    symlink(format!("..{version}"), directory.join("..data_tmp")).unwrap();
    fs::rename(directory.join("..data_tmp"), directory.join("..data")).unwrap();
    real
}

#[test]
fn a_swap_is_seen_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let mut old = mount(directory.path(), "v0", &[("a.yaml", "0"), ("b.yaml", "0")]);
    let by_name = [directory.path().join("b.yaml"), directory.path().join("a.yaml")];
    let path = directory.path().to_owned();
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            for version in 1..200 {
                let text = version.to_string();
                let new = mount(&path, &format!("v{version}"), &[("a.yaml", &text), ("b.yaml", &text)]);
                fs::remove_dir_all(std::mem::replace(&mut old, new)).unwrap();
            }
        });
        while !swapper.is_finished() {
            // Under such a storm even five attempts may all meet a swap: that is an error, never a mixture.
            for paths in [[path.clone()].as_slice(), by_name.as_slice()] {
                if let Ok(inputs) = read(paths) {
                    assert_eq!(inputs.files.len(), 2);
                    assert_eq!(inputs.files[0].text, inputs.files[1].text);
                }
            }
        }
    });
    let inputs = read(&[directory.path().to_owned()]).unwrap();
    assert_eq!(inputs.files[0].name.as_ref(), directory.path().join("a.yaml").to_string_lossy());
    assert_eq!(inputs.files[0].text, "199");
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap()
}

#[tokio::test]
async fn a_swap_is_noticed_by_its_events() {
    let directory = tempfile::tempdir().unwrap();
    mount(directory.path(), "v1", &[("a.yaml", "a: 1")]);
    let paths = vec![directory.path().to_owned()];
    let inputs = read(&paths).unwrap();
    // The interval is too long to be of any help.
    let mut watcher = watch::Watcher::new(paths, Some(&inputs), Duration::from_secs(3600));
    assert_eq!(watcher.mode(), watch::Mode::Events);
    for version in 2..5 {
        let text = format!("a: {version}");
        mount(directory.path(), &format!("v{version}"), &[("a.yaml", &text)]);
        assert_eq!(soon(watcher.next()).await.unwrap().files[0].text, text);
    }
}

#[tokio::test]
async fn a_change_without_events_is_noticed_by_comparing() {
    let directory = tempfile::tempdir().unwrap();
    let paths = vec![directory.path().join("sub/a.yaml")];
    // What does not exist cannot be watched.
    let mut watcher = watch::Watcher::new(paths.clone(), None, Duration::ZERO);
    assert_eq!(watcher.mode(), watch::Mode::Poll);
    assert!(soon(watcher.next()).await.is_err(), "named once");
    fs::create_dir(directory.path().join("sub")).unwrap();
    fs::write(&paths[0], "a: 1").unwrap();
    assert_eq!(soon(watcher.next()).await.unwrap().files[0].text, "a: 1");
    assert_eq!(watcher.mode(), watch::Mode::Events, "it is watched once it is there");
}
