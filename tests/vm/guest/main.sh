# Runs every test of this directory in the virtual machine and prints PASS or FAIL for each.
cd /tests
. ./support.sh
prepare
for file in ./${only:-[0-9]*}.sh; do
    . "$file"
done
echo DONE
