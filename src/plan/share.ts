/**
 * Part i of `total` (a whole number) split over n as evenly as whole numbers allow; all parts sum to the total.
 *
 *     share(i, n, T) = floor((i + 1) T / n) - floor(i T / n)
 *                    = q + floor((i + 1) r / n) - floor(i r / n)    with T = q n + r
 *
 * The second line is what is computed: r < n, so no product leaves the exact integers (n <= 2^26, T <= 2^53).
 */
export function share(i: number, n: number, total: number): number {
  const rest = total % n;
  const whole = (total - rest) / n;
  return whole + Math.floor(((i + 1) * rest) / n) - Math.floor((i * rest) / n);
}
