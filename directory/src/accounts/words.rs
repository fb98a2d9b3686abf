//! Passwords that can be read aloud: words of a list of 256 and a number, drawn evenly from the system's random source.
//! Five words and two digits are 46 bits, far beyond what the login's delay or Argon2id let anybody try.

use zeroize::Zeroizing;

use crate::ca::{CaError, random};

/// Short, common, and no two alike.
const WORDS: [&str; 256] = [
    "acorn", "album", "alder", "amber", "anchor", "apple", "apron", "arbor", "arrow", "aspen", "atlas",
    "attic", "autumn", "badge", "bagel", "bamboo", "banjo", "barley", "barn", "basil", "basin", "basket",
    "beacon", "beaver", "beech", "berry", "birch", "bishop", "bison", "blade", "bloom", "board", "bonnet",
    "border", "bottle", "branch", "brass", "bread", "breeze", "brick", "bridge", "bronze", "brook", "broom",
    "brush", "bucket", "buckle", "butter", "button", "cabin", "cable", "cactus", "camel", "candle", "canoe",
    "canvas", "canyon", "carbon", "cargo", "carpet", "carrot", "castle", "cedar", "cello", "chalk", "cherry",
    "chess", "cider", "cinder", "circle", "citrus", "clay", "cliff", "clock", "cloud", "clover", "cobalt",
    "cobra", "comet", "copper", "coral", "cork", "corner", "cotton", "cougar", "cradle", "crane", "crater",
    "crown", "cube", "dahlia", "daisy", "delta", "desert", "dome", "donkey", "dragon", "drum", "dune",
    "eagle", "easel", "echo", "elbow", "elder", "ember", "engine", "falcon", "fern", "ferry", "fiddle",
    "field", "finch", "fjord", "flame", "flax", "flint", "flute", "forest", "fossil", "fox", "frost",
    "galaxy", "garden", "garlic", "garnet", "gate", "gecko", "geyser", "ginger", "globe", "glove", "goose",
    "grain", "grape", "gravel", "grove", "guitar", "gull", "hammer", "harbor", "harp", "hazel", "hedge",
    "helmet", "heron", "hill", "honey", "hoof", "hornet", "ice", "indigo", "inlet", "iris", "iron", "island",
    "ivory", "ivy", "jacket", "jade", "jigsaw", "kayak", "kettle", "kite", "kiwi", "ladder", "lagoon",
    "lake", "larch", "lark", "laurel", "lava", "lemon", "lilac", "lily", "lime", "linen", "lizard", "locket",
    "lotus", "lynx", "magnet", "mango", "maple", "marble", "meadow", "melon", "mesa", "mint", "mirror",
    "mitten", "moss", "nectar", "needle", "nest", "nickel", "nutmeg", "oak", "oasis", "oat", "ocean",
    "olive", "onyx", "opal", "orbit", "orchid", "otter", "owl", "oyster", "paddle", "palm", "panda", "paper",
    "parrot", "pearl", "pebble", "pepper", "piano", "pigeon", "pine", "planet", "plum", "pocket", "pond",
    "poplar", "poppy", "prism", "quail", "quartz", "quill", "rabbit", "raven", "reed", "ribbon", "ridge",
    "river", "robin", "rocket", "saddle", "sail", "salmon", "sand", "spruce", "stone", "summit", "sunset",
    "tiger", "timber", "topaz", "torch", "tulip", "tunnel", "turtle", "umber", "valley", "velvet", "violet",
];

/// A new password such as `plum-orbit-lark-cedar-42-fern`.
///
/// # Errors
/// When the system's random source fails.
pub fn new_password() -> Result<Zeroizing<String>, CaError> {
    let mut bytes = [0; 5];
    random(&mut bytes)?;
    let [a, b, c, d, e] = bytes.map(|byte| WORDS[usize::from(byte)]);
    Ok(Zeroizing::new(format!("{a}-{b}-{c}-{d}-{}-{e}", two_digits()?)))
}

/// 10 to 99, each as likely.
fn two_digits() -> Result<u8, CaError> {
    loop {
        let mut byte = [0];
        random(&mut byte)?;
        if byte[0] < 180 {
            return Ok(byte[0] % 90 + 10);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_differ_and_passwords_too() {
        assert_eq!(WORDS.iter().collect::<HashSet<_>>().len(), 256);
        assert!(
            WORDS
                .iter()
                .all(|word| word.bytes().all(|b| b.is_ascii_lowercase()))
        );
        let passwords: HashSet<_> = (0..50).map(|_| new_password().unwrap().to_string()).collect();
        assert_eq!(passwords.len(), 50);
        for password in passwords {
            assert_eq!(password.split('-').count(), 6, "{password}");
            assert!(crate::accounts::password::check_new(&password).is_ok());
        }
    }
}
