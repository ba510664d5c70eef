use super::*;
use crate::model::spec::Spec;
use crate::supervisor::program::Program;
use std::rc::Rc;

fn scene(name: &str) -> Home {
    let root = std::env::temp_dir().join(format!("rpm-recovery-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    for folder in ["run", "pids"] {
        fs::create_dir_all(root.join(folder)).unwrap();
    }
    Home::new(root)
}

fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    open::replace(path, bytes.as_ref()).unwrap();
}

fn program(id: u32) -> Vec<u8> {
    let program = Program::new(id, 0, Rc::new(Spec::default()), 5);
    let mut lines = records::spec_line(id, &records::spec_text(&program.spec));
    lines.extend(records::status_line(&program));
    lines
}

fn list(generation: u64, ids: &[u32]) -> Vec<u8> {
    whole_list(generation, 0, ids.iter().map(|id| program(*id)))
}

fn ids_of(recovered: &Recovered) -> Vec<u32> {
    recovered.programs.iter().map(|(id, _)| *id).collect()
}

fn recovered(home: &Home, handed: Option<(u64, MemoryLog)>) -> Recovered {
    recover(home, Boot::Same, 2, handed).unwrap()
}

#[test]
fn what_a_writer_has_in_memory_is_added_to_what_is_on_the_disk() {
    let home = scene("memory");
    let disk = list(3, &[0, 1]);
    put(&home.list(), &disk);
    let memory = || {
        let mut memory = new_memory((1, 2), 3, disk.len() as u64).unwrap();
        memory.append(&program(2)).unwrap();
        memory
    };
    let found = recovered(&home, Some((3, memory())));
    assert_eq!((ids_of(&found), found.generation), (vec![0, 1, 2], 3));
    // The file may have more of it by now.
    put(&home.list(), [disk.clone(), program(2)].concat());
    let found = recovered(&home, Some((3, memory())));
    assert_eq!((ids_of(&found), found.generation), (vec![0, 1, 2], 3));
    // A list that was begun anew since counts for more.
    put(&home.list(), list(4, &[7]));
    let found = recovered(&home, Some((3, memory())));
    assert_eq!((ids_of(&found), found.generation), (vec![7], 4));
    // One that has not come to the disk yet is in memory as a whole.
    let mut memory = new_memory((1, 2), 5, 0).unwrap();
    memory.append(&list(5, &[8, 9])).unwrap();
    let found = recovered(&home, Some((5, memory)));
    assert_eq!((ids_of(&found), found.next_id), (vec![8, 9], 10));
    fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn the_next_list_counts_when_it_is_whole() {
    let home = scene("next");
    put(&home.list(), list(3, &[0]));
    let next = list(4, &[0, 1]);
    put(&home.list_new(), &next[..next.len() - 1]);
    assert_eq!(ids_of(&recovered(&home, None)), [0]);
    put(&home.list_new(), &next);
    let found = recovered(&home, None);
    assert_eq!((ids_of(&found), found.generation), (vec![0, 1], 5));
    let (start, memory) = found.memory.read().unwrap();
    assert_eq!((start, List::read(&memory).programs.len()), (0, 2));
    fs::remove_dir_all(home.root()).unwrap();
}

#[test]
fn what_is_damaged_is_set_aside_and_named() {
    let home = scene("damaged");
    let text = String::from_utf8(list(3, &[0, 1])).unwrap();
    put(&home.list(), text.replace("status id=1", "status id=1 x=y"));
    let found = recovered(&home, None);
    assert_eq!(ids_of(&found), [0]);
    assert!(
        found.notes[0].contains("program 1 is left out"),
        "{:?}",
        found.notes
    );
    let contents = contents(&home).unwrap();
    assert_eq!(contents.damaged, [home.run().join("1.damaged")]);
    let kept = String::from_utf8(open::read(&contents.damaged[0], 1 << 20).unwrap()).unwrap();
    assert!(kept.contains("spec id=1") && kept.contains("x=y"), "{kept}");
    // It is written without it from now on.
    assert_eq!(found.generation, 4);
    fs::remove_dir_all(home.root()).unwrap();
}
