# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is check.sh's
# This checkout as it is, as a repository of one commit at $tree: what is not committed yet is tried too, and nothing here is
# changed. Sourced after check.sh.

tree=$work/tree
in_tree() { (cd "$tree" && "$@"); }
copy_tree() {
    mkdir "$tree" &&
        git ls-files -z --cached --others --exclude-standard |
        while IFS= read -rd '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done |
            xargs -0 cp -a --parents -t "$tree" || return
    in_tree git init --quiet && commit_tree
}
commit_tree() {
    in_tree git add -A &&
        in_tree git -c user.name=test -c user.email=test@localhost commit --quiet --allow-empty --message 'as it is'
}
# The version that deploy/release.sh gives it.
tree_version() {
    local number
    number=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
    echo "$number-$(in_tree git rev-parse --short=12 HEAD)"
}

# A version's images are at the end as they are now: away, or what they were.
images_as_before() { # version
    local target before
    for target in ws-gateway callback-service simulator; do
        if before=$(docker image inspect --format '{{ .Id }}' "saoma/$target:$1" 2>/dev/null); then
            at_end docker tag "$before" "saoma/$target:$1"
        else
            at_end docker rmi "saoma/$target:$1"
        fi
    done
}
