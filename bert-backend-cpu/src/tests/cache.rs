//! A cache of packed weights, in good order and in bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bert_core::Backend;
use bert_core::contract::{CacheProblem, Damage, PackedCache, Precision};
use bert_core::tensor::HostTensor;
use half::{bf16, f16};
use tempfile::TempDir;

use super::{Random, backends};
use crate::{CpuBackend, CpuOptions};

const SIZES: [(usize, usize); 6] = [(1, 1), (3, 17), (64, 63), (65, 257), (768, 96), (33, 1000)];

fn backend() -> CpuBackend {
    CpuBackend::new(CpuOptions { threads: Some(2), simd: None }).unwrap()
}

/// All that a product reads of a weight.
fn packed(backend: &CpuBackend, weight: &HostTensor) -> [Vec<u8>; 3] {
    let buffer = backend.prepare_weight(weight.into(), Precision::Int8).unwrap();
    let matrix = buffer.packed("a test").unwrap();
    assert_eq!([matrix.out_features, matrix.in_features], *weight.shape());
    matrix.parts().map(<[u8]>::to_vec)
}

/// As [`packed`], with a cache that nobody has used so far.
fn through(cache: &PackedCache, backend: &CpuBackend, weight: &HostTensor) -> [Vec<u8>; 3] {
    packed(&backend.with_packed_cache(cache).unwrap(), weight)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// A folder with the one file of a weight, and what that should give.
fn one_file() -> (TempDir, PathBuf, HostTensor, [Vec<u8>; 3]) {
    let folder = tempfile::tempdir().unwrap();
    let weight = Random::new(7).tensor([65, 257]);
    let expected = packed(&backend(), &weight);
    through(&PackedCache::new(folder.path()), &backend(), &weight);
    let file = files(folder.path()).remove(0);
    (folder, file, weight, expected)
}

#[test]
fn what_comes_back_is_what_packing_gives() {
    let mut random = Random::new(1);
    for backend in backends() {
        let folder = tempfile::tempdir().unwrap();
        // A folder that is not there yet is made.
        let folder = folder.path().join("a").join("b");
        for (outputs, inputs) in SIZES {
            let weight = random.around(0.1, 1.0, [outputs, inputs]);
            let expected = packed(&backend, &weight);
            let (cold, warm) = (PackedCache::new(&folder), PackedCache::new(&folder));
            assert_eq!(
                through(&cold, &backend, &weight),
                expected,
                "cold, {outputs} x {inputs}, {backend:?}"
            );
            assert_eq!((cold.read(), cold.written()), (0, 1));
            assert_eq!(
                through(&warm, &backend, &weight),
                expected,
                "warm, {outputs} x {inputs}, {backend:?}"
            );
            assert_eq!((warm.read(), warm.written()), (1, 0));
            assert!(cold.take_problems().is_empty() && warm.take_problems().is_empty());
        }
        assert_eq!(files(&folder).len(), SIZES.len(), "and no drafts");
    }
}

#[test]
fn a_read_leaves_the_file_alone() {
    let (folder, file, weight, _) = one_file();
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(&file).unwrap().set_modified(long_ago).unwrap();
    through(&PackedCache::new(folder.path()), &backend(), &weight);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), long_ago);
}

#[test]
fn other_precisions_are_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let cache = PackedCache::new(folder.path());
    let backend = backend().with_packed_cache(&cache).unwrap();
    for precision in [Precision::F32, Precision::Bf16] {
        backend.prepare_weight((&Random::new(3).tensor([9, 9])).into(), precision).unwrap();
    }
    assert!(files(folder.path()).is_empty());
    assert_eq!((cache.read(), cache.written()), (0, 0));
}

#[test]
fn whatever_differs_has_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let cache = PackedCache::new(folder.path());
    let numbers: Vec<f32> = (0..96).map(|i| f32::from(bf16::from_f32((i as f32).sin()))).collect();
    let mut changed = numbers.clone();
    changed[95] += 1.0 / 128.0;
    let tensors = [
        HostTensor::from_vec(numbers.clone(), [8, 12]),
        HostTensor::from_vec(numbers.clone(), [12, 8]),
        HostTensor::from_vec(changed, [8, 12]),
        HostTensor::from_vec(numbers.iter().map(|&x| bf16::from_f32(x)).collect(), [8, 12]),
        // The same bytes as those before, which mean other numbers.
        HostTensor::from_vec(
            numbers.iter().map(|&x| f16::from_bits((x.to_bits() >> 16) as u16)).collect(),
            [8, 12],
        ),
    ];
    let levels = backends();
    for (count, (backend, tensor)) in levels
        .iter()
        .filter(|backend| backend.threads() == levels[0].threads())
        .flat_map(|backend| tensors.iter().map(move |tensor| (backend, tensor)))
        .enumerate()
    {
        assert_eq!(through(&cache, backend, tensor), packed(backend, tensor));
        assert_eq!(files(folder.path()).len(), count + 1, "{tensor:?} on {backend:?}");
    }
    assert_eq!(cache.read(), 0);
}

#[test]
fn a_damaged_file_is_made_anew() {
    let (folder, file, weight, expected) = one_file();
    let whole = fs::read(&file).unwrap();
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        bytes
    };
    let length = whole.len();
    let cut = |found: usize| Damage::Length { expected: length as u64, found: found as u64 };
    let last = length - 1;
    let mut cases = vec![
        (vec![], cut(0)),
        (whole[..7].to_vec(), cut(7)),
        (whole[..72].to_vec(), cut(72)),
        (whole[..last].to_vec(), cut(last)),
        ([&whole[..], b"x"].concat(), cut(length + 1)),
        (vec![0; length], Damage::Header),
    ];
    // The magic bytes, the key, the checksum, the panels, the scales, the sums.
    cases.extend([0, 7, 8, 39].map(|at| (flipped(at), Damage::Header)));
    cases.extend([40, 71, 72, 5000, last - 700, last].map(|at| (flipped(at), Damage::Checksum)));
    for (bytes, expected_damage) in cases {
        fs::write(&file, bytes).unwrap();
        let cache = PackedCache::new(folder.path());
        assert_eq!(through(&cache, &backend(), &weight), expected);
        match &cache.take_problems()[..] {
            [CacheProblem::Damaged { path, damage }] => assert_eq!((path, *damage), (&file, expected_damage)),
            other => panic!("{other:?} for {expected_damage:?}"),
        }
        assert_eq!((cache.read(), cache.written()), (0, 1));
        assert_eq!(fs::read(&file).unwrap(), whole, "it was repaired");
    }
    assert_eq!(files(folder.path()), [file]);
}

#[test]
fn a_file_under_the_name_of_another_is_not_taken_for_it() {
    let (folder, file, _, _) = one_file();
    // Of the same shape.
    let other = Random::new(8).tensor([65, 257]);
    let expected = through(&PackedCache::new(folder.path()), &backend(), &other);
    let name = files(folder.path()).into_iter().find(|path| *path != file).unwrap();
    fs::copy(&file, &name).unwrap();
    let cache = PackedCache::new(folder.path());
    assert_eq!(through(&cache, &backend(), &other), expected);
    let problems = cache.take_problems();
    assert!(matches!(problems[..], [CacheProblem::Damaged { damage: Damage::Header, .. }]), "{problems:?}");
}

#[test]
#[cfg(unix)]
fn what_is_no_file_is_not_read() {
    use std::os::unix::fs::symlink;
    let (folder, file, weight, expected) = one_file();
    let whole = fs::read(&file).unwrap();
    let elsewhere = folder.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    let links: [(&Path, bool); 4] = [
        (Path::new("/dev/zero"), true),
        (&elsewhere, true),
        (Path::new("nowhere"), false),
        // A link to itself.
        (&file, true),
    ];
    for (target, is_problem) in links {
        fs::remove_file(&file).unwrap();
        symlink(target, &file).unwrap();
        let cache = PackedCache::new(folder.path());
        assert_eq!(through(&cache, &backend(), &weight), expected);
        assert_eq!(cache.take_problems().len(), usize::from(is_problem), "{}", target.display());
        // The link is replaced, and what it led to is not written through.
        assert!(fs::symlink_metadata(&file).unwrap().is_file());
        assert_eq!(fs::read(&file).unwrap(), whole);
    }
    // A pipe without a writer would make a reader wait for ever.
    fs::remove_file(&file).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&file).status();
    if made.is_ok_and(|status| status.success()) {
        assert_eq!(through(&PackedCache::new(folder.path()), &backend(), &weight), expected);
    } else {
        eprintln!("SKIPPED a pipe in the place of a file: no mkfifo");
    }
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_of_and_stays() {
    let (folder, file, weight, expected) = one_file();
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let cache = PackedCache::new(folder.path());
    assert_eq!(through(&cache, &backend(), &weight), expected);
    let problems = cache.take_problems();
    let is_expected = matches!(
        problems[..],
        [CacheProblem::Damaged { damage: Damage::NotAFile, .. }, CacheProblem::Write { .. }]
    );
    assert!(is_expected, "{problems:?}");
    assert_eq!(files(folder.path()), [file], "and no draft is left");
}

#[test]
fn a_folder_that_cannot_be_written_is_told_of_once() {
    let parent = tempfile::tempdir().unwrap();
    // A file in the way stops even the superuser.
    let blocked = parent.path().join("file");
    fs::write(&blocked, "mine").unwrap();
    for folder in [blocked.clone(), blocked.join("below")] {
        let cache = PackedCache::new(&folder);
        for seed in 1..4 {
            let weight = Random::new(seed).tensor([20, 30]);
            assert_eq!(through(&cache, &backend(), &weight), packed(&backend(), &weight));
        }
        let problems = cache.take_problems();
        assert!(matches!(problems[..], [CacheProblem::Write { .. }]), "{problems:?}");
        assert_eq!((cache.read(), cache.written()), (0, 0));
    }
    assert_eq!(fs::read(&blocked).unwrap(), b"mine");
}

#[test]
#[cfg(unix)]
fn a_read_only_folder_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, _, weight, expected) = one_file();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let cache = PackedCache::new(folder.path());
    assert_eq!(through(&cache, &backend(), &weight), expected);
    assert_eq!(cache.read(), 1);
    assert!(cache.take_problems().is_empty());
    if fs::write(folder.path().join("probe"), "").is_ok() {
        eprintln!("SKIPPED writing to a read-only folder: this user may");
    } else {
        through(&cache, &backend(), &Random::new(9).tensor([5, 5]));
        assert!(matches!(cache.take_problems()[..], [CacheProblem::Write { .. }]));
    }
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn many_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let weights: Vec<_> = (1..5).map(|seed| Random::new(seed).tensor([48, 80])).collect();
    let expected: Vec<_> = weights.iter().map(|weight| packed(&backend(), weight)).collect();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                // A cache of its own, as another process would have.
                let cache = PackedCache::new(folder.path());
                for (weight, expected) in weights.iter().zip(&expected) {
                    assert_eq!(through(&cache, &backend(), weight), *expected);
                }
                assert!(cache.take_problems().is_empty());
                assert_eq!(cache.read() + cache.written(), weights.len());
            });
        }
    });
    assert_eq!(files(folder.path()).len(), weights.len());
}

#[test]
fn what_cannot_be_packed_is_refused_as_without_a_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, cached) = (backend(), backend().with_packed_cache(&PackedCache::new(folder.path())).unwrap());
    let integers = HostTensor::from_vec(vec![1i64; 4], [2, 2]);
    let too_deep = HostTensor::from_vec(vec![0.5f32; 70_000], [1, 70_000]);
    for weight in [integers, too_deep] {
        let refusal =
            |backend: &CpuBackend| backend.prepare_weight((&weight).into(), Precision::Int8).unwrap_err();
        assert_eq!(format!("{:?}", refusal(&cached)), format!("{:?}", refusal(&plain)));
    }
    assert!(files(folder.path()).is_empty());
}
