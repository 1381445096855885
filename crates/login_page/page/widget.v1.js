// The widget: comes with the next commits.
export function mount() {}
