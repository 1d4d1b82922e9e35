//! What listings hold, in which order, in which pages.

use futures::{StreamExt as _, stream};

use super::{RepositoryUnderTest, bounded, content, name, put};
use crate::{IndexRepository, LIST_PAGE_MAX, ObjectName};

/// Stores small objects of these names, several at once.
async fn put_all(repository: &dyn IndexRepository, names: &[ObjectName]) {
    let puts = names.iter().map(|object| async move {
        put(repository, object, content(1, 1)).await.expect("stored");
    });
    stream::iter(puts).buffer_unordered(8).collect::<()>().await;
}

/// The names of all pages, checking that no page is over the limit.
async fn names_by(
    repository: &dyn IndexRepository,
    folder: Option<&ObjectName>,
    limit: usize,
) -> Vec<ObjectName> {
    let mut names = Vec::new();
    let mut after = None;
    loop {
        let page = bounded(repository.list(folder, after.as_ref(), limit)).await.expect("listed");
        assert!(page.objects.len() <= limit.max(1), "a page of {}", page.objects.len());
        names.extend(page.objects.into_iter().map(|object| object.name));
        assert!(names.is_sorted_by(|left, right| left < right), "each once, in order");
        match page.next_after {
            Some(next_after) => {
                assert_eq!(Some(&next_after), names.last(), "the next page begins where this ends");
                after = Some(next_after);
            }
            None => return names,
        }
    }
}

/// Pages of any size give the same objects, by the bytes of their whole names.
pub async fn listings_are_complete_sorted_and_paged(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    assert_eq!(names_by(&*repository, None, 10).await, [], "empty at first");
    // `-` and `.` sort below `/`, digits and letters above it.
    let parts = ["a", "a-b/x", "a.b", "b/1", "b/10", "b/2", "b-/z", "B", "b_", "c/d/e/f", "c/d/g"];
    let mut expected: Vec<_> =
        parts.iter().flat_map(|part| [format!("l/{part}"), format!("m/{part}")]).collect();
    expected.sort_unstable();
    let expected: Vec<_> = expected.iter().map(|object| name(object)).collect();
    put_all(&*repository, &expected).await;
    for limit in [0, 1, 2, 7, expected.len() - 1, expected.len(), expected.len() + 1, 5000] {
        assert_eq!(names_by(&*repository, None, limit).await, expected, "pages of {limit}");
    }
    let half: Vec<_> = expected.iter().filter(|o| o.as_str().starts_with("m/")).cloned().collect();
    for limit in [1, 3, half.len(), 5000] {
        assert_eq!(names_by(&*repository, Some(&name("m")), limit).await, half);
    }
    // `after` need not be a name that is there.
    for after in ["l/a-", "l/zzz", "l"] {
        let page = repository.list(None, Some(&name(after)), 5000).await.expect("listed");
        let above: Vec<_> = expected.iter().filter(|object| **object > name(after)).collect();
        assert_eq!(page.objects.iter().map(|object| &object.name).collect::<Vec<_>>(), above);
    }
}

/// However many are asked for, a page has its bound, and the rest comes with the next.
pub async fn pages_are_bounded(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let names: Vec<_> =
        (0..LIST_PAGE_MAX + 5).map(|i| name(&format!("many/{:02}/{i:05}", i % 3))).collect();
    put_all(&*repository, &names).await;
    let page = bounded(repository.list(None, None, usize::MAX)).await.expect("listed");
    assert_eq!(page.objects.len(), LIST_PAGE_MAX);
    let listed = bounded(repository.list_all(&name("many"))).await.expect("listed");
    let mut sorted = names;
    sorted.sort();
    assert_eq!(listed.into_iter().map(|object| object.name).collect::<Vec<_>>(), sorted);
}

/// A folder is whole parts of a name: neither its namesake nor its longer neighbours are in it.
pub async fn listings_keep_to_their_folder(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    let names = ["f/in/1", "f/in/2/3", "f/in-/4", "f/in0", "f/i", "f/inner/5", "in/6", "f.in/7"];
    put_all(&*repository, &names.map(name)).await;
    let listed = names_by(&*repository, Some(&name("f/in")), 100).await;
    assert_eq!(listed, ["f/in/1", "f/in/2/3"].map(name));
    for empty in ["f/in0", "f/none", "none", "f/in/1/2"] {
        assert_eq!(names_by(&*repository, Some(&name(empty)), 100).await, [], "{empty}");
    }
    // An `after` outside of the folder cuts nothing, or all.
    let page = repository.list(Some(&name("f/in")), Some(&name("a")), 100).await.expect("listed");
    assert_eq!(page.objects.len(), 2);
    let page = repository.list(Some(&name("f/in")), Some(&name("g")), 100).await.expect("listed");
    assert_eq!((page.objects.len(), page.next_after), (0, None));
}

/// Lengths are those of the objects, the same as a head's; later objects are not older.
pub async fn listings_say_length_and_age(subject: impl RepositoryUnderTest) {
    let repository = subject.repository();
    for (i, length) in [0, 1, 70_000].into_iter().enumerate() {
        put(&*repository, &name(&format!("meta/{i}")), content(i, length)).await.expect("stored");
    }
    let listed = repository.list_all(&name("meta")).await.expect("listed");
    assert_eq!(listed.iter().map(|object| object.size_bytes).collect::<Vec<_>>(), [0, 1, 70_000]);
    for object in &listed {
        assert_eq!(repository.head(&object.name).await.expect("there"), *object);
        // 2020 and 2200: in milliseconds, by a clock that is set.
        assert!((1_577_836_800_000..7_258_118_400_000).contains(&object.stored_unix_ms));
    }
    assert!(listed.is_sorted_by_key(|object| object.stored_unix_ms));
}
