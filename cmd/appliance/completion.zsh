#compdef appliance
# zsh completion for appliance: source <(appliance completion zsh)
_appliance() {
  local cur=${words[CURRENT]}
  local -a before candidates
  before=("${(@)words[1,CURRENT-1]}")
  # The command itself says what may come next; a flag that is being typed tells
  # it to name flags.
  [[ $cur == -* ]] && before+=("$cur")
  candidates=("${(@f)$("${before[@]}" --generate-bash-completion 2>/dev/null)}")
  if [[ -n ${candidates[1]} ]]; then
    compadd -- "${candidates[@]}"
  else
    _files
  fi
}
compdef _appliance appliance
