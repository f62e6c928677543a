"""What is known about each host: addresses, robots.txt, and how many requests it takes."""
