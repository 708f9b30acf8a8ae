//! So many searches at a time, of a server and of each project: a place is taken when one begins, and given back when it
//! is dropped. It knows nothing of what is searched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Result};

/// Places for searches.
#[derive(Debug)]
pub struct Places {
    /// What those are doing that have one, for people.
    doing: &'static str,
    max: usize,
    project_max: usize,
    /// How many are taken, by project; only those that have some. Held to count.
    taken: Mutex<HashMap<String, usize>>,
}

/// The place of one search.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    project: String,
}

impl Places {
    /// So many for all, and so many of them for one project.
    pub fn new(doing: &'static str, max: usize, project_max: usize) -> Arc<Self> {
        Arc::new(Self { doing, max, project_max, taken: Mutex::default() })
    }

    /// Takes a place for a project; callers of no project share theirs.
    pub fn take(self: &Arc<Self>, project: &str) -> Result<Place> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if taken.get(project).copied().unwrap_or(0) >= self.project_max {
            return Err(Error::Exhausted(format!(
                "{} searches of one project {}, as many as a project may have; try again",
                self.project_max, self.doing
            )));
        }
        if taken.values().sum::<usize>() >= self.max {
            return Err(Error::Exhausted(format!(
                "{} searches {}, as many as a server may have; try again",
                self.max, self.doing
            )));
        }
        *taken.entry(project.to_owned()).or_default() += 1;
        drop(taken);
        Ok(Place { places: Arc::clone(self), project: project.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.project) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.project);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(places: &Arc<Places>, project: &str) -> Option<String> {
        places.take(project).err().map(|error| error.to_string())
    }

    #[test]
    fn no_project_takes_all_and_places_come_back() {
        let places = Places::new("are under way", 3, 2);
        let first = places.take("a").unwrap();
        let _second = places.take("a").unwrap();
        let told = refusal(&places, "a").unwrap();
        assert_eq!(told, "2 searches of one project are under way, as many as a project may have; try again");
        let other = places.take("b").unwrap();
        let told = refusal(&places, "").unwrap();
        assert_eq!(told, "3 searches are under way, as many as a server may have; try again");
        drop(first);
        assert_eq!(refusal(&places, "a"), None, "it came back");
        drop(other);
        assert_eq!(places.taken.lock().unwrap().len(), 1, "who has none is not kept");
    }
}
