"""From assembled episodes to a policy: encoders, buffer, lower bounds, agents, learner."""
