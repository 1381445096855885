//! The three numbers of which a person chooses the one that their page shows.

use aws_lc_rs::digest::{SHA256, digest};
use protocol::Scene;

/// Numbers to choose from.
const NUMBERS: usize = 3;

/// The numbers that pages show, as `logins` makes them.
const FIRST: u8 = 10;
const MANY: u8 = 90;

/// The number and two others, in an order that says nothing. The same person is shown the same three for a login, however
/// often they look: two different sets would have only the right one in common.
pub(super) fn numbers(scene: &Scene, openid: &str, number: &str) -> [String; NUMBERS] {
    let mut seed = digest(&SHA256, format!("{scene} {openid} {number}").as_bytes());
    let mut chosen = vec![number.to_owned()];
    loop {
        for byte in seed.as_ref() {
            let other = (FIRST + byte % MANY).to_string();
            if chosen.len() < NUMBERS && !chosen.contains(&other) {
                chosen.push(other);
            }
        }
        if let Ok(mut numbers) = <[String; NUMBERS]>::try_from(chosen.clone()) {
            let last = seed.as_ref().last().copied().unwrap_or_default();
            numbers.swap(0, usize::from(last) % NUMBERS);
            return numbers;
        }
        seed = digest(&SHA256, seed.as_ref());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn three_numbers_have_the_right_one_at_any_place_and_stay() {
        let mut places = HashSet::new();
        for number in 10..100 {
            let (scene, number) = (Scene::random(), number.to_string());
            let three = numbers(&scene, "oA", &number);
            assert_eq!(three, numbers(&scene, "oA", &number));
            assert_eq!(HashSet::from(three.clone()).len(), NUMBERS, "{three:?}");
            assert!(three.iter().all(|one| (10..100).contains(&one.parse::<u8>().unwrap_or_default())));
            places.extend(three.iter().position(|one| *one == number));
        }
        assert_eq!(places.len(), NUMBERS, "{places:?}");
    }
}
