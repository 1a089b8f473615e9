/** The reason of a promise that is not judged because the run was to judge others only; see `Settings.promises`. */
export const notAsked = 'nobody asked for it';
