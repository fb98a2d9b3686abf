# A Debian of its own with systemd: its files are the layers $3 with the folder $1 over them, its name is $2. Says which
# process it is; its only child is systemd-nspawn, and the only child of that is the machine's first process.
read -r pid rest </proc/self/stat
mount -t proc proc /proc
ip link set lo up
mount -t overlay overlay -o "lowerdir=$3,upperdir=$1/upper,workdir=$1/work" "$1/root"
echo "$pid"
# That ends with this number for a machine that wants to start again.
while
  systemd-nspawn --quiet --boot --directory="$1/root" --machine="$2-$pid" --hostname="$2.lab" --register=no --keep-unit \
    --resolv-conf=off --timezone=off --link-journal=no </dev/null >>"$1/console" 2>&1
  [ $? -eq 133 ]
do :; done
