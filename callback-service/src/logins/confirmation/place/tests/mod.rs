//! Places by files that are written here.

#![allow(clippy::unwrap_used)]

mod writer;

use tempfile::TempDir;

use self::writer::{Value, database};
use super::*;

/// Names in English and Chinese; an empty one is left out.
fn names(english: &'static str, chinese: &'static str) -> Value {
    let names = [("en", english), ("zh-CN", chinese)];
    let given = names.into_iter().filter(|(_, name)| !name.is_empty());
    let given = given.map(|(language, name)| (language, Value::Text(name))).collect();
    Value::Map(vec![("names", Value::Map(given))])
}

fn networks() -> Vec<(&'static str, Value)> {
    let china = || ("country", names("China", "中国"));
    let beijing = vec![
        ("city", names("Beijing", "北京")),
        china(),
        ("subdivisions", Value::List(vec![names("Beijing", "北京市")])),
    ];
    let guangzhou = vec![
        ("city", names("Guangzhou", "广州")),
        china(),
        ("subdivisions", Value::List(vec![names("Guangdong", "广东")])),
    ];
    vec![
        ("203.0.113.0/25", Value::Map(beijing)),
        ("203.0.113.128/25", Value::Map(guangzhou)),
        ("198.51.100.0/24", Value::Map(vec![("country", names("Iceland", ""))])),
        ("192.0.2.0/24", Value::Map(vec![("country", names("", "冰岛"))])),
        ("192.88.99.0/24", Value::Map(vec![("country", Value::Map(vec![])), ("city", Value::Map(vec![]))])),
        ("233.252.0.0/24", Value::Text("no map")),
    ]
}

fn write(file: &[u8]) -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("places.mmdb");
    std::fs::write(&path, file).unwrap();
    (folder, path)
}

fn places(file: &[u8]) -> Places {
    Places::open(&write(file).1).unwrap()
}

#[test]
fn an_address_is_told_by_its_place_in_the_persons_language() {
    let mut with_v6 = networks();
    with_v6.push(("2001:db8:1::/48", Value::Map(vec![("country", names("Japan", "日本"))])));
    for (places, version) in [
        (places(&database("GeoLite2-City", 4, &networks())), 4),
        (places(&database("GeoLite2-City", 6, &with_v6)), 6),
    ] {
        for (address, chinese, english) in [
            // A city that is a region, too, is said once.
            ("203.0.113.9", "中国 北京市", "Beijing, China"),
            ("203.0.113.200", "中国 广东 广州", "Guangzhou, Guangdong, China"),
            ("::ffff:203.0.113.200", "中国 广东 广州", "Guangzhou, Guangdong, China"),
            // A name in another language is better than none for a reader of Chinese, who reads Latin letters.
            ("198.51.100.7", "Iceland", "Iceland"),
            ("192.0.2.1", "冰岛", "192.0.*.*"),
            // The file says nothing, or nothing that can be read.
            ("192.88.99.1", "192.88.*.*", "192.88.*.*"),
            ("233.252.0.1", "233.252.*.*", "233.252.*.*"),
            ("127.0.0.1", "127.0.*.*", "127.0.*.*"),
            ("::ffff:10.1.2.3", "10.1.*.*", "10.1.*.*"),
            ("2001:db8:2::1", "2001:db8:2:*", "2001:db8:2:*"),
            ("no address", "未知", "unknown"),
        ] {
            assert_eq!(places.of(address, Language::Chinese), chinese, "{address} by IPv{version}");
            assert_eq!(places.of(address, Language::English), english, "{address} by IPv{version}");
        }
        let japan = if version == 6 { "日本" } else { "2001:db8:1:*" };
        assert_eq!(places.of("2001:db8:1::9", Language::Chinese), japan);
    }
    let countries = vec![("203.0.113.0/24", Value::Map(vec![("country", names("China", "中国"))]))];
    let countries = places(&database("GeoLite2-Country", 6, &countries));
    assert_eq!(countries.of("203.0.113.9", Language::Chinese), "中国");
    assert_eq!(Places::default().of("203.0.113.9", Language::Chinese), "203.0.*.*");
}

#[test]
fn a_file_that_cannot_be_used_is_told_in_one_line() {
    let good = database("GeoLite2-City", 6, &networks());
    for (file, problem) in [
        (&b""[..], "is no database in MaxMind's format (.mmdb)"),
        (b"network,geoname_id\n203.0.113.0/24,1816670\n", "is no database in MaxMind's format (.mmdb)"),
        (&good[..good.len() - 40], "is no database in MaxMind's format (.mmdb)"),
        (&database("GeoLite2-ASN", 6, &[]), "it is a \"GeoLite2-ASN\"; take one of cities or countries"),
    ] {
        let (_folder, path) = write(file);
        let told = Places::open(&path).unwrap_err();
        assert_eq!(told, format!("{}: {problem}", path.display()));
    }
    let (folder, path) = write(&good);
    let told = Places::open(&folder.path().join("gone.mmdb")).unwrap_err();
    assert!(told.contains("gone.mmdb: No such file"), "{told}");
    Places::open(&path).unwrap();
}

/// A disk may change a bit. Then a place is wrong or unknown, and the login goes on.
#[test]
fn a_damaged_file_costs_nobody_the_login() {
    let good = database("GeoLite2-City", 4, &networks());
    for place in 0..good.len() {
        let mut file = good.clone();
        file[place] ^= 0xff;
        let (_folder, path) = write(&file);
        let Ok(places) = Places::open(&path) else { continue };
        for address in ["203.0.113.9", "203.0.113.200", "198.51.100.7", "8.8.8.8"] {
            assert!(!places.of(address, Language::Chinese).is_empty(), "{address} with byte {place} changed");
        }
    }
}
