# Completion of kspool for bash.
_kspool() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]-}
  local commands="run lint create put status drain dead peek export import check repair blobl list whoami"
  local words=""

  COMPREPLY=()
  if [ "$COMP_CWORD" = 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$cur")
    return
  fi
  case $prev in
  -c | -e | -f | -i | --config | --env-file | --file | --input-file | --spool | --socket)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    return
    ;;
  -s | --set | --log.level | --format | --timeout | --since | --until | --text | --limit | --schema) return ;;
  esac
  case $command in
  run) words="--set --config --env-file --log.level --user" ;;
  lint) words="--explain --strict --skip-env-var-check" ;;
  create) words="--small --schema --man" ;;
  put) words="--config --socket --whole --framed" ;;
  status) words="--config --spool --json --watch" ;;
  drain) words="--config --spool --timeout" ;;
  dead) words="--config --spool --all --yes list show retry purge" ;;
  peek) words="--config --spool --json --since --until --text --key --limit list show" ;;
  import) words="--config --spool --again" ;;
  export) words="--config --spool --schema" ;;
  check) words="--config --spool" ;;
  repair) words="--config --spool --give-up" ;;
  list) words="--format inputs outputs processors caches buffers metrics tracers rate-limits scanners functions methods" ;;
  blobl) words="--file --input-file --pretty" ;;
  whoami) words="--json --offline" ;;
  esac
  if [[ $cur == -* || $command == list || ($command == dead && $COMP_CWORD == 2) ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$words --help" -- "$cur")
    return
  fi
  case $command in
  run | lint | put | export | import | blobl | whoami)
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    ;;
  esac
}
complete -F _kspool kspool
