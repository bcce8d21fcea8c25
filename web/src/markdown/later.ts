const queue: (() => void)[] = []
const slice = 8 // milliseconds

/** later runs work in short slices, in order, so that the page stays responsive however much of it there is. */
export function later(work: () => void): void {
  if (queue.push(work) === 1) setTimeout(run)
}

function run(): void {
  const until = performance.now() + slice
  do queue[0]!()
  while ((queue.shift(), queue.length > 0 && performance.now() < until))
  if (queue.length > 0) setTimeout(run)
}
