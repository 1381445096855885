# shellcheck shell=bash
# shellcheck disable=SC2154 # $work is check.sh's
# Copies this checkout into a repository of one commit at $tree. So uncommitted changes are tested too, and this checkout
# stays unchanged. Source it after check.sh.

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
# The version that deploy/release.sh gives this tree.
tree_version() {
    local number
    number=$(sed -n '/^\[workspace\.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
    echo "$number-$(in_tree git rev-parse --short=12 HEAD)"
}

# Restores a version's images at the end: those that are absent now are removed, others get their tag back.
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
