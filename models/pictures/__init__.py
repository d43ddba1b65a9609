"""What a picture's file says of itself: which pictures it holds, how they are turned, how large."""
