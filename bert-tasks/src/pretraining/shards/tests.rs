use proptest::prelude::*;

use super::super::testing::vocabulary;
use super::super::writer::Writer;
use super::*;

/// A shard with these sentences of these documents.
fn bytes(documents: &[Vec<Vec<u32>>], vocabulary: &Vocabulary) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("0.shard");
    let mut writer = Writer::create(&path, vocabulary).unwrap();
    for document in documents {
        document.iter().for_each(|sentence| writer.add_sentence(sentence).unwrap());
        writer.end_document();
    }
    writer.finish().unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    std::fs::read(path).unwrap()
}

fn small(vocabulary: &Vocabulary) -> Vec<u8> {
    bytes(&[vec![vec![5, 6, 7], vec![8]], vec![vec![9, 10, 11]]], vocabulary)
}

/// All that is in a shard.
fn read(shard: &Shard) -> Result<Vec<Vec<Vec<u32>>>> {
    let sentence = |sentence| {
        let mut ids = vec![];
        shard.read_sentence(sentence, &mut ids)?;
        assert_eq!(ids.len(), shard.sentence_len(sentence));
        Ok(ids)
    };
    (0..shard.documents()).map(|document| shard.sentences_of(document).map(sentence).collect()).collect()
}

#[test]
fn what_contradicts_itself_is_refused() {
    let vocabulary = vocabulary();
    let good = small(&vocabulary);
    let open = |bytes: Vec<u8>| Shard::from_bytes("x.shard", bytes, &vocabulary);
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        open(bytes)
    };
    assert!(open(good.clone()).is_ok());
    for (at, value, reason) in [
        (0, b'B', "not that of a shard"),
        (8, 2, "version 2"),
        (12, 4, "does not match"),
        (48, 3, "bytes and should"),
        (55, 255, "more tokens"),
        (64, 9, "bytes and should"),
        (72, 0, "does not match"),
        (HEADER + 16, 1, "offsets"), // the first sentence does not begin with the first token
        (HEADER + 20, 0, "offsets"), // an empty sentence
        (HEADER + 24, 9, "offsets"), // a sentence that ends before it begins
    ] {
        let error = with(at, value).err().unwrap_or_else(|| panic!("byte {at}")).to_string();
        assert!(error.contains(reason) && error.contains("x.shard"), "{error}");
    }
    assert!(matches!(with(20, 0), Err(PretrainingError::OtherTokenizer { .. })));
    // An id that is none is found when it is read.
    let shard = with(HEADER + 1, 255).unwrap();
    assert!(matches!(read(&shard), Err(PretrainingError::Shard { .. })));
    for end in 0..good.len() {
        assert!(open(good[..end].to_vec()).is_err());
    }
    assert!(Shard::open("/no/such.shard", &vocabulary).is_err());
    assert!(Shard::open(std::env::temp_dir(), &vocabulary).is_err());
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        documents in prop::collection::vec(
            prop::collection::vec(prop::collection::vec(0u32..70, 0..9), 0..5), 0..6),
    ) {
        let vocabulary = vocabulary();
        let shard = Shard::from_bytes("x", bytes(&documents, &vocabulary), &vocabulary).unwrap();
        // Empty sentences and documents without any are left out.
        let mut expected = documents;
        expected.iter_mut().for_each(|document| document.retain(|sentence| !sentence.is_empty()));
        expected.retain(|document| !document.is_empty());
        prop_assert_eq!(read(&shard).unwrap(), expected);
    }

    #[test]
    fn damage_is_an_error_and_no_panic(
        damage in prop::collection::vec((0usize..200, any::<u8>()), 1..6),
        cut in prop::option::of(0usize..200),
    ) {
        let vocabulary = vocabulary();
        let mut bytes = small(&vocabulary);
        for (at, value) in damage {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        bytes.truncate(cut.unwrap_or(usize::MAX));
        if let Ok(shard) = Shard::from_bytes("x", bytes, &vocabulary) {
            let _ = read(&shard);
        }
    }
}
