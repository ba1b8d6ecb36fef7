# A container that needs more memory than it may have.

a_container_killed_for_lack_of_memory_is_told_as_such() {
    orca up -d -f memory.yaml
    for name in memory-hog-1 memory-family-1; do
        eventually is_field memory $name State exited
        is "$(field memory $name ExitCode)" 137
        is "$(field memory $name OomKilled)" true
    done
    orca -p memory ps -a | grep 'lack of memory'
    orca down -f memory.yaml
}
check a_container_killed_for_lack_of_memory_is_told_as_such
